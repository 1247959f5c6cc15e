"""From a rough mask to an alpha that follows the image's edges."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

# A speck or a hole smaller than this share of the image is noise.
SMALL = 0.002
# Pixels of the longer side at which masks are worked on; edges are found at full size.
WORKING = 256
# Bytes of a mask as good as 0 and 255: where all around is so, nothing is left once haze is cut.
NOTHING, EVERYTHING = 10, 245
# Which of red, green, blue and mask are multiplied for the guided filter.
PRODUCTS = ((0, 3), (1, 3), (2, 3), (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


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
    full image, as in He, Sun 2015. Where the mask is certain all around, so is the result.

    Args:
        image: RGB.
        small: the same at working size.
        mask: float32, 0 background to 1 person, at working size.
        radius: of the filter's window, pixels at working size.
        epsilon: variance (of colours 0..1) below which the window counts as flat.
    Returns:
        float32, 0..1.
    """
    coarse = to_uint8(mask)
    # A model sees as far as one window, their mean as far as two; interpolation asks one more.
    reach = np.ones((4 * radius + 3, 4 * radius + 3), np.uint8)
    highest: np.ndarray = cv2.dilate(coarse, reach)
    lowest: np.ndarray = cv2.erode(coarse, reach)
    band = (highest > NOTHING) & (lowest < EVERYTHING)
    asked = cv2.dilate(band.view(np.uint8), np.ones((2 * radius + 3, 2 * radius + 3), np.uint8))
    window = (2 * radius + 1, 2 * radius + 1)
    models = _solve(_means(small, coarse, window), asked, np.float32(epsilon * 255**2))
    size = image.shape[1::-1]
    alpha = cv2.resize(coarse >> 7, size, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    undecided = cv2.resize(band.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    models = cv2.resize(cv2.blur(models, window), size, interpolation=cv2.INTER_LINEAR)
    _apply(image, models, undecided, alpha)
    return alpha


def _means(
    small: UInt8[np.ndarray, "h w 3"], mask: UInt8[np.ndarray, "h w"], window: tuple[int, int]
) -> Float[np.ndarray, "13 h w"]:
    """Means of colours and mask (0..255), of their products and of those of the colours."""
    planes = [*cv2.split(small), mask]
    # Bytes and their products are whole numbers: half the time that floats take.
    planes += [cv2.multiply(planes[i], planes[j], dtype=cv2.CV_16U) for i, j in PRODUCTS]
    means = np.empty((len(planes), *mask.shape), np.float32)
    for plane, mean in zip(planes, means, strict=True):
        cv2.boxFilter(plane, cv2.CV_32F, window, mean)
    return means


@njit(cache=True, nogil=True)
def _solve(means, asked, epsilon):
    """Slope (3) and offset of the linear model of every window, by the adjugate of the 3 x 3."""
    height, width = asked.shape
    model = np.zeros((height, width, 4), np.float32)
    for y in range(height):
        for x in range(width):
            if not asked[y, x]:
                continue
            m = means[:, y, x]
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
def _apply(image, model, undecided, alpha):
    """The linear model where undecided; it leaves a haze: the outer fifths are cut."""
    byte = np.float32(1 / 255)
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            if not undecided[y, x]:
                continue
            m = model[y, x]
            value = m[0] * image[y, x, 0] + m[1] * image[y, x, 1] + m[2] * image[y, x, 2]
            value = ((m[3] + value) * byte - np.float32(0.2)) * np.float32(1 / 0.6)
            alpha[y, x] = min(np.float32(1), max(np.float32(0), value))


def one_person(alpha: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Keep the largest connected part and fill small holes in it; decided at working size.

    Args:
        alpha: 0..1.
    Returns:
        The same where the person is; 0 at parts that do not touch it, 1 in small holes.
    """
    height, width = alpha.shape
    factor = max(1, round(max(height, width) / WORKING))
    size = (-(-width // factor), -(-height // factor))
    solid = (alpha > 0.3).view(np.uint8)
    if factor > 1:
        # A part counts where it fills half of a larger pixel.
        share: np.ndarray = cv2.resize(solid * 255, size, interpolation=cv2.INTER_AREA)
        solid = (share > 127).view(np.uint8)
    _, parts = cv2.connectedComponents(solid)
    areas = np.bincount(parts.ravel())[1:]
    if len(areas) == 0:
        return np.zeros_like(alpha)
    person = (parts == 1 + int(areas.argmax())).view(np.uint8)
    # Soft edges reach a little beyond the part that counts as connected.
    near: np.ndarray = cv2.dilate(person, np.ones((5, 5), np.uint8))
    _, holes = cv2.connectedComponents(1 - person, connectivity=4)
    small = np.bincount(holes.ravel()) < SMALL * solid.size
    small[0] = False
    if small.any():
        near[small[holes]] = 2
    # Bytes: 0 nothing, 1 as it is, 2 a hole to fill.
    if factor > 1:
        near = cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST)
    return _select(alpha, near)


@njit(cache=True, nogil=True)
def _select(alpha, kinds):
    result = np.empty_like(alpha)
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            kind = kinds[y, x]
            result[y, x] = alpha[y, x] if kind == 1 else (1.0 if kind == 2 else 0.0)
    return result


def to_uint8(alpha: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """0..1 to 0..255, rounded."""
    scaled: UInt8[np.ndarray, "H W"] = cv2.convertScaleAbs(np.maximum(alpha, 0), alpha=255)
    return scaled


def disk(radius: int) -> UInt8[np.ndarray, "D D"]:
    """A round structuring element."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
