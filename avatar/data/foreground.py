"""The person's own colour where alpha is partial.

A pixel of the camera that is partly covered holds some of the background too; composited as it is,
the person carries a rim of the old background. The stored image stays the camera's: this estimate
is made from image and alpha when a frame is read.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from numba import njit

# Shares of the longer side over which colours are carried: near ones first, far ones where there
# are none near.
NEAR, FAR = 1 / 170, 1 / 24
SURE = 13  # of 255: alphas within this of 0 and 255 count as background and person alone


def foreground(
    image: UInt8[np.ndarray, "H W 3"], alpha: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with the background taken out of partly covered pixels.

    With F' and B' the mean colours of the person and of the background nearby, the estimate is
    the F nearest to (F', B') that solves `image = alpha F + (1 - alpha) B`:
    F' + alpha (image - alpha F' - (1 - alpha) B') / (alpha^2 + (1 - alpha)^2).

    Returns:
        RGB; the image's own colours where alpha is 0 or 255.
    """
    partial = (alpha > 0) & (alpha < 255)
    if not partial.any():
        return image
    longest = max(alpha.shape)
    person = _carried(image, alpha >= 255 - SURE, longest)
    behind = _carried(image, alpha <= SURE, longest)
    return _solve(image, alpha, person, behind)


def _carried(
    image: UInt8[np.ndarray, "H W 3"], known: Bool[np.ndarray, "H W"], longest: int
) -> Float[np.ndarray, "H W 3"]:
    """Mean colour of the known pixels about each pixel (0..255), at half size."""
    height, width = known.shape
    size = (-(-width // 2), -(-height // 2))
    weighted = np.empty((height, width, 4), np.uint8)
    weighted[..., :3] = cv2.bitwise_and(image, image, mask=known.astype(np.uint8))
    weighted[..., 3] = known.view(np.uint8) * 255
    half = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    near, far = _window(longest * NEAR), _window(longest * FAR)
    # Far colours count only where there are hardly any near ones.
    total: np.ndarray = cv2.addWeighted(
        cv2.blur(half, (near, near)), 1, cv2.blur(half, (far, far)), 0.01, 0
    )
    # Enlarged before the division: where nothing is known there is no mean to blend with.
    total = cv2.resize(total, (width, height), interpolation=cv2.INTER_LINEAR)
    mean: np.ndarray = total[..., :3] / np.maximum(total[..., 3:], 1e-6) * np.float32(255)
    return mean


def _window(radius: float) -> int:
    """Width (pixels at half size, odd) of a window of so many pixels to either side."""
    return 2 * max(1, round(radius / 2)) + 1


@njit(cache=True, nogil=True)
def _solve(image, alpha, person, behind):
    result = image.copy()
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            if alpha[y, x] == 0 or alpha[y, x] == 255:
                continue
            cover = alpha[y, x] * np.float32(1 / 255)
            rest = 1 - cover
            share = cover / (cover * cover + rest * rest)
            for c in range(3):
                mean = person[y, x, c]
                left = image[y, x, c] - cover * mean - rest * behind[y, x, c]
                value = min(np.float32(255), max(np.float32(0), mean + share * left))
                result[y, x, c] = np.uint8(value + np.float32(0.5))
    return result
