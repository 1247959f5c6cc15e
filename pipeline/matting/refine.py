"""From a rough mask to an alpha that follows the image's edges."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

# A speck or a hole smaller than this share of the image is noise.
SMALL = 0.002


def follow_edges(
    image: UInt8[np.ndarray, "H W 3"], mask: Float[np.ndarray, "H W"], radius: int, epsilon: float
) -> Float[np.ndarray, "H W"]:
    """Guided filter of a mask by the image (He, Sun, Tang 2013, eq. 14-19), then its haze cut.

    Args:
        image: RGB.
        mask: float32, 0 background to 1 person.
        radius: of the filter's window, pixels.
        epsilon: variance (of colours 0..1) below which the window counts as flat.
    Returns:
        float32, 0..1.
    """
    filtered: np.ndarray = cv2.ximgproc.guidedFilter(image, mask, radius, epsilon * 255**2)
    # A linear model leaves a little everywhere: the outer fifths are background and person.
    return np.clip((filtered - 0.2) / 0.6, 0, 1)


def one_person(alpha: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Keep the largest connected part and fill small holes in it.

    Args:
        alpha: 0..1.
    Returns:
        The same where the person is; 0 at parts that do not touch it, 1 in small holes.
    """
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((alpha > 0.3).astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    if len(areas) == 0:
        return np.zeros_like(alpha)
    person = (labels == 1 + int(areas.argmax())).astype(np.uint8)
    # Soft edges reach a little beyond the part that counts as connected.
    near = cv2.dilate(person, np.ones((9, 9), np.uint8))
    result = alpha * near
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(1 - person, connectivity=4)
    for label in range(1, len(statistics)):
        if statistics[label, cv2.CC_STAT_AREA] < SMALL * alpha.size:
            result[labels == label] = 1
    return result


def to_uint8(alpha: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """0..1 to 0..255, rounded."""
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def disk(radius: int) -> UInt8[np.ndarray, "D D"]:
    """A round structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
