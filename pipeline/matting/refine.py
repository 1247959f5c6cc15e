"""From a rough mask to an alpha that follows the image's edges."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

# A speck or a hole smaller than this share of the image is noise.
SMALL = 0.002
# Pixels of the longer side at which masks are worked on; edges are found at full size.
WORKING = 256


def shrink(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image at working size: a whole number of times smaller (or nearly, at odd sizes)."""
    height, width = image.shape[:2]
    factor = max(1, round(max(height, width) / WORKING))
    if factor == 1:
        return image
    size = (max(1, width // factor), max(1, height // factor))
    small: UInt8[np.ndarray, "h w 3"] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small


def fit(
    mask: Float[np.ndarray, "h w"], like: UInt8[np.ndarray, "H W *D"]
) -> Float[np.ndarray, "H W"]:
    """A mask at an image's size."""
    resized: np.ndarray = cv2.resize(mask, like.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return resized


def follow_edges(
    image: UInt8[np.ndarray, "H W 3"],
    small: UInt8[np.ndarray, "h w 3"],
    mask: Float[np.ndarray, "h w"],
    radius: int,
    epsilon: float,
) -> Float[np.ndarray, "H W"]:
    """Guided filter of a mask by the image, then its haze cut.

    He, Sun, Tang 2013, eq. 14-19; the linear model is solved at working size and applied to the
    full image, as in He, Sun 2015.

    Args:
        image: RGB.
        small: the same at working size.
        mask: float32, 0 background to 1 person, at working size.
        radius: of the filter's window, pixels at working size.
        epsilon: variance (of colours 0..1) below which the window counts as flat.
    Returns:
        float32, 0..1.
    """
    window = (2 * radius + 1, 2 * radius + 1)
    means = cv2.blur(_products(small, mask), window)
    model: np.ndarray = cv2.blur(_solve(means, np.float32(epsilon)), window)
    return _apply(image, cv2.resize(model, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))


@njit(cache=True, nogil=True)
def _products(image, mask):
    """Colours, their products and their products with the mask: 13 planes, colours 0..1."""
    height, width = mask.shape
    result = np.empty((height, width, 13), np.float32)
    for y in range(height):
        for x in range(width):
            r = image[y, x, 0] * np.float32(1 / 255)
            g = image[y, x, 1] * np.float32(1 / 255)
            b = image[y, x, 2] * np.float32(1 / 255)
            p = mask[y, x]
            out = result[y, x]
            out[0], out[1], out[2], out[3] = r, g, b, p
            out[4], out[5], out[6] = r * p, g * p, b * p
            out[7], out[8], out[9] = r * r, r * g, r * b
            out[10], out[11], out[12] = g * g, g * b, b * b
    return result


@njit(cache=True, nogil=True)
def _solve(means, epsilon):
    """Slope (3) and offset of the linear model of every window, by the adjugate of the 3 x 3."""
    height, width = means.shape[:2]
    model = np.empty((height, width, 4), np.float32)
    for y in range(height):
        for x in range(width):
            m = means[y, x]
            r, g, b, p = m[0], m[1], m[2], m[3]
            cr, cg, cb = m[4] - r * p, m[5] - g * p, m[6] - b * p
            rr, rg, rb = m[7] - r * r + epsilon, m[8] - r * g, m[9] - r * b
            gg, gb, bb = m[10] - g * g + epsilon, m[11] - g * b, m[12] - b * b + epsilon
            irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
            igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
            inverse = np.float32(1.0) / (rr * irr + rg * irg + rb * irb)
            ar = (irr * cr + irg * cg + irb * cb) * inverse
            ag = (irg * cr + igg * cg + igb * cb) * inverse
            ab = (irb * cr + igb * cg + ibb * cb) * inverse
            out = model[y, x]
            out[0], out[1], out[2], out[3] = ar, ag, ab, p - ar * r - ag * g - ab * b
    return model


@njit(cache=True, nogil=True)
def _apply(image, model):
    """The linear model at every pixel; it leaves a little everywhere: the outer fifths are cut."""
    height, width = image.shape[:2]
    alpha = np.empty((height, width), np.float32)
    byte = np.float32(1 / 255)
    for y in range(height):
        for x in range(width):
            m = model[y, x]
            value = m[3] + byte * (
                m[0] * image[y, x, 0] + m[1] * image[y, x, 1] + m[2] * image[y, x, 2]
            )
            value = (value - np.float32(0.2)) * np.float32(1 / 0.6)
            alpha[y, x] = min(np.float32(1), max(np.float32(0), value))
    return alpha


def one_person(alpha: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Keep the largest connected part and fill small holes in it; judged at working size.

    Args:
        alpha: 0..1.
    Returns:
        The same where the person is; 0 at parts that do not touch it, 1 in small holes.
    """
    height, width = alpha.shape
    factor = max(1, round(max(height, width) / WORKING))
    size = (-(-width // factor), -(-height // factor))
    solid = (alpha > 0.3).astype(np.uint8)
    if factor > 1:
        # A part counts where it fills half of a larger pixel.
        share: np.ndarray = cv2.resize(solid * 255, size, interpolation=cv2.INTER_AREA)
        solid = (share > 127).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(solid)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    if len(areas) == 0:
        return np.zeros_like(alpha)
    person = (labels == 1 + int(areas.argmax())).astype(np.uint8)
    # Soft edges reach a little beyond the part that counts as connected.
    near: np.ndarray = cv2.dilate(person, np.ones((5, 5), np.uint8))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(1 - person, connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < SMALL * solid.size
    small[0] = False
    # Bytes: 0 nothing, 1 as it is, 2 a hole to fill.
    verdict = np.where(small[labels], np.uint8(2), near)
    if factor > 1:
        verdict = cv2.resize(verdict, (width, height), interpolation=cv2.INTER_NEAREST)
    return _judge(alpha, verdict)


@njit(cache=True, nogil=True)
def _judge(alpha, verdict):
    result = np.empty_like(alpha)
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            kind = verdict[y, x]
            result[y, x] = alpha[y, x] if kind == 1 else (1.0 if kind == 2 else 0.0)
    return result


def to_uint8(alpha: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """0..1 to 0..255, rounded."""
    scaled: UInt8[np.ndarray, "H W"] = cv2.convertScaleAbs(np.maximum(alpha, 0), alpha=255)
    return scaled


def disk(radius: int) -> UInt8[np.ndarray, "D D"]:
    """A round structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
