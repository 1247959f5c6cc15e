"""Backend `plate`: difference against an image of the empty scene."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

from pipeline.matte.backends import Alpha, Image, Share
from pipeline.matte.masks import person_masks
from pipeline.matte.refine import WORKING, disk, fit, follow_edges, one_person, shrink, to_uint8

Colours = Float[np.ndarray, "H W 3"]
Mask = Float[np.ndarray, "H W"]

# A shadow or a change of light scales the plate's colour by this at least and at most.
DARKEST, BRIGHTEST = np.float32(0.55), np.float32(1.15)
# Difference of foreground and plate (of 255) at which the mixture has a weight of a half.
CONTRAST = np.float32(30.0)
# MediaPipe's mask at which a pixel begins to count as the person's, and does altogether.
BEGINS, CERTAIN = np.float32(0.5), np.float32(0.9)


class PlateMatting:
    """Alphas of a clip whose camera's empty scene is known.

    A pixel is background where its colour is the plate's times a brightness that a soft shadow
    can explain, within the noise that the background itself shows. MediaPipe's mask fills the
    person's inside, where a colour may happen to equal the plate's; nearer to the mask's edge it
    only rules out shadows, which dark hair resembles, and closes notches. At the edge alpha solves
    `image = alpha foreground + (1 - alpha) plate` with the foreground of the nearby inside and
    the plate as dark as the shadow nearby makes it.
    """

    def __init__(self, plate: Image) -> None:
        self._plate = plate.astype(np.float32)
        self._smooth: Colours = cv2.blur(self._plate, (3, 3))
        self._small = shrink(plate).astype(np.float32)
        self._lit = self._small.min(2) > 20
        self._masks = person_masks()

    def __call__(self, image: Image, share: Share | None = None) -> Alpha:
        """The alpha of the next image."""
        small = shrink(image)
        prior = self._masks(small)
        gain = self._exposure(small, prior)
        smooth: Colours = cv2.boxFilter(image, cv2.CV_32F, (3, 3))
        mask = fit(prior, image)
        within = np.clip((mask - BEGINS) / (CERTAIN - BEGINS), 0, 1)
        difference, brightness = _differences(smooth, self._smooth, gain, within)
        sure = foreign(difference, mask)
        persons = _closed(np.maximum(sure, fit(_inside(prior), image)), within)
        if share is not None:
            persons *= fit(share, image)
        rough = one_person(persons)
        background = _lit(self._plate, gain, _spread(brightness, rough))
        alpha = edge_alpha(image, small, background, rough, within)
        if share is not None:  # at a border between persons the plate tells nothing
            alpha *= fit(share, image)
        return to_uint8(one_person(alpha))

    def _exposure(
        self, small: UInt8[np.ndarray, "h w 3"], prior: Float[np.ndarray, "h w"]
    ) -> Float[np.ndarray, "3"]:
        """How much brighter this frame is than the plate: one factor a channel."""
        outside = np.flatnonzero((prior < 0.02) & self._lit)
        if len(outside) < 50:
            return np.ones(3, np.float32)
        some = outside[::3]
        now, then = (each.reshape(-1, 3)[some].T for each in (small, self._small))
        # A row for each channel: their medians are found several times as fast.
        ratio: np.ndarray = np.median(np.ascontiguousarray(now / then), axis=1)
        return np.clip(ratio, 0.7, 1.4).astype(np.float32)


@njit(cache=True, nogil=True)
def _differences(colours, plate, gain, within):
    """Distance from the plate's colour at its best brightness, and that brightness.

    The further a pixel is `within` the person (0..1), the less its brightness may differ.
    """
    red, green, blue = gain
    height, width = colours.shape[:2]
    distance = np.empty((height, width), np.float32)
    brightness = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            c, p = (
                colours[y, x],
                (plate[y, x, 0] * red, plate[y, x, 1] * green, plate[y, x, 2] * blue),
            )
            square = p[0] * p[0] + p[1] * p[1] + p[2] * p[2]
            scale = (c[0] * p[0] + c[1] * p[1] + c[2] * p[2]) / max(square, np.float32(1))
            inside = within[y, x]
            scale = max(inside + (np.float32(1) - inside) * DARKEST, scale)
            scale = min(inside + (np.float32(1) - inside) * BRIGHTEST, scale)
            r, g, b = c[0] - scale * p[0], c[1] - scale * p[1], c[2] - scale * p[2]
            distance[y, x] = np.sqrt(r * r + g * g + b * b)
            brightness[y, x] = scale
    return distance, brightness


def foreign(difference: Mask, prior: Mask) -> Mask:
    """How sure it is (0..1) that a pixel is not the background, lit brighter or darker.

    Args:
        difference: distance from the plate's colour, of 255.
        prior: MediaPipe's mask; it only selects where the noise is measured.
    """
    outside = difference[::3, ::3][prior[::3, ::3] < 0.02]
    noise = max(1.0, float(np.median(outside))) if len(outside) > 50 else 2.0
    sure = difference * np.float32(1 / (4 * noise))
    sure -= 1
    return np.clip(sure, 0, 1, out=sure)


def _closed(persons: Mask, within: Mask) -> Mask:
    """Notches that MediaPipe takes for the person filled: as narrow as the edge is wide."""
    kernel = disk(_edge_radius(persons))
    closed = cv2.morphologyEx(persons, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    filled: Mask = np.where(within > 0.75, closed, persons)
    return filled


def _edge_radius(mask: np.ndarray) -> int:
    """Pixels to either side of a rough edge in which the true one is sought."""
    return max(2, round(max(mask.shape) / 128))


@njit(cache=True, nogil=True)
def _lit(plate, gain, shadow):
    """The plate under the frame's exposure and shadow."""
    result = np.empty_like(plate)
    for y in range(plate.shape[0]):
        for x in range(plate.shape[1]):
            for c in range(3):
                result[y, x, c] = plate[y, x, c] * gain[c] * shadow[y, x]
    return result


def _spread(brightness: Mask, rough: Mask) -> Mask:
    """The shadow's brightness, carried from the background a little way under the person."""
    radius = max(2, round(max(rough.shape) / 64))
    outside = cv2.erode((rough < 0.1).astype(np.uint8), np.ones((3, 3), np.uint8))
    outside = outside.astype(np.float32)
    # A shadow is soft: working size is enough.
    factor = max(1, round(max(rough.shape) / WORKING))
    size = (rough.shape[1] // factor, rough.shape[0] // factor)
    area = cv2.INTER_AREA
    weight: Mask = cv2.resize(outside, size, interpolation=area)
    carried: Mask = cv2.resize(outside * brightness, size, interpolation=area)
    window = (2 * (2 * radius // factor) + 1,) * 2
    share: Mask = cv2.blur(weight, window)
    lit: Mask = cv2.blur(carried, window)
    return fit((lit + 0.01) / (share + 0.01), rough)


def edge_alpha(
    image: Image,
    small: UInt8[np.ndarray, "h w 3"],
    background: Colours,
    rough: Mask,
    within: Mask,
) -> Mask:
    """Alpha where the rough mask has its edge, from the plate and the nearby foreground.

    Args:
        small: the image at working size.
        background: 0..255.
        rough: 0..1.
        within: 0..1, how sure MediaPipe is of the person.
    """
    radius = _edge_radius(rough)
    solid = (rough > 0.5).astype(np.uint8)
    inside, reach = cv2.erode(solid, disk(radius)), cv2.dilate(solid, disk(radius))
    foreground = _nearby(image, inside, 1.5 * radius)
    soft: Mask = cv2.blur(solid.astype(np.float32), (3, 3))
    alpha = _mixture(image, background, foreground, inside, reach, soft, within)
    size = small.shape[1::-1]
    return follow_edges(
        image, small, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), 2, 1e-4
    )


def _nearby(
    image: Image, inside: UInt8[np.ndarray, "H W"], sigma: float
) -> Float[np.ndarray, "H W 4"]:
    """The colours of the inside carried across its edge, times how much of it is near, and that.

    Red, green and blue times the share, and the share times 255.
    """
    factor = 2 if max(inside.shape) > 300 else 1
    size = (inside.shape[1] // factor, inside.shape[0] // factor)
    some: np.ndarray = cv2.resize(inside, size, interpolation=cv2.INTER_AREA)
    colours = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    weighted = np.empty((*some.shape, 4), np.float32)
    weighted[..., :3] = cv2.bitwise_and(colours, colours, mask=some)
    weighted[..., 3] = some * np.uint8(255)
    return fit(cv2.GaussianBlur(weighted, (0, 0), sigma / factor), image)


@njit(cache=True, nogil=True)
def _mixture(image, background, foreground, inside, reach, soft, within):
    """Solve the mixture within reach of the edge."""
    height, width = inside.shape
    alpha = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            if inside[y, x]:
                alpha[y, x] = 1
                continue
            if not reach[y, x]:
                continue
            weight = foreground[y, x, 3] * np.float32(1 / 255)
            scale = 1 / max(weight, np.float32(1e-3))
            contrast, along, away = np.float32(0), np.float32(0), np.float32(0)
            for c in range(3):
                direction = scale * foreground[y, x, c] - background[y, x, c]
                difference = image[y, x, c] - background[y, x, c]
                contrast += direction * direction
                along += direction * difference
                away += difference * difference
            solved = along / max(contrast, np.float32(1))
            solved = min(np.float32(1), max(np.float32(0), solved))
            # Where foreground and plate look alike the equation is ill-posed: the mask decides.
            certain = contrast / (contrast + CONTRAST * CONTRAST)
            certain *= min(np.float32(1), weight / np.float32(0.02))
            # Within the person a colour that is no such mixture is another part's: hair by skin.
            miss = away - 2 * solved * along + solved * solved * contrast
            certain *= 1 - within[y, x] * miss / (miss + CONTRAST * CONTRAST)
            alpha[y, x] = certain * solved + (1 - certain) * soft[y, x]
    return alpha


def _inside(prior: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Where MediaPipe is sure, well within its mask."""
    radius = max(3, round(max(prior.shape) / 40))
    # Beyond the frame the person goes on: its border must not be eaten.
    sure = cv2.copyMakeBorder(
        (prior > 0.9).astype(np.uint8), *(radius,) * 4, borderType=cv2.BORDER_REPLICATE
    )
    eroded = cv2.erode(sure, disk(radius))
    return eroded[radius:-radius, radius:-radius].astype(np.float32)
