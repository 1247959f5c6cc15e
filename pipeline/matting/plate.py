"""Backend `plate`: difference against an image of the empty scene."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

from pipeline.matting import Alpha, Image
from pipeline.matting.refine import disk, fit, follow_edges, one_person, shrink, to_uint8
from pipeline.matting.masks import person_masks

Colours = Float[np.ndarray, "H W 3"]
Mask = Float[np.ndarray, "H W"]

# A shadow or a change of light scales the plate's colour by this at least and at most.
DARKEST, BRIGHTEST = np.float32(0.55), np.float32(1.15)
# Difference of foreground and plate (of 255) at which the mixture is trusted half.
CONTRAST = np.float32(30.0)


class PlateMatting:
    """Alphas of a clip whose camera's empty scene is known.

    A pixel is background where its colour is the plate's times a brightness that a soft shadow
    can explain, within the noise that the background itself shows. MediaPipe's mask fills the
    person's inside, where a colour may happen to equal the plate's. At the edge alpha solves
    `image = alpha foreground + (1 - alpha) plate` with the foreground of the nearby inside and
    the plate as dark as the shadow nearby makes it.
    """

    def __init__(self, plate: Image) -> None:
        self._plate = plate.astype(np.float32)
        self._smooth: Colours = cv2.blur(self._plate, (3, 3))
        self._small = shrink(plate).astype(np.float32)
        self._lit = self._small.min(2) > 20
        self._masks = person_masks()

    def __call__(self, image: Image) -> Alpha:
        """The alpha of the next image."""
        small = shrink(image)
        prior = self._masks(small)
        gain = self._exposure(small, prior)
        smooth: Colours = cv2.blur(image.astype(np.float32), (3, 3))
        difference, brightness = _differences(smooth, self._smooth * gain)
        sure = foreign(difference, fit(prior, image))
        rough = one_person(np.maximum(sure, fit(_inside(prior), image)))
        shadow = _spread(brightness, rough)
        alpha = edge_alpha(image, small, self._plate * gain * shadow[..., None], rough)
        return to_uint8(one_person(alpha))

    def _exposure(
        self, small: UInt8[np.ndarray, "h w 3"], prior: Float[np.ndarray, "h w"]
    ) -> Float[np.ndarray, "3"]:
        """How much brighter this frame is than the plate: one factor a channel."""
        outside = (prior < 0.02) & self._lit
        if outside.sum() < 50:
            return np.ones(3, np.float32)
        ratio: np.ndarray = np.median(small[outside][::3] / self._small[outside][::3], axis=0)
        return np.clip(ratio, 0.7, 1.4).astype(np.float32)


@njit(cache=True, nogil=True)
def _differences(colours, plate):
    """Distance from the plate's colour at its best brightness, and that brightness."""
    height, width = colours.shape[:2]
    distance = np.empty((height, width), np.float32)
    brightness = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            c, p = colours[y, x], plate[y, x]
            square = p[0] * p[0] + p[1] * p[1] + p[2] * p[2]
            scale = (c[0] * p[0] + c[1] * p[1] + c[2] * p[2]) / max(square, np.float32(1))
            scale = min(BRIGHTEST, max(DARKEST, scale))
            r, g, b = c[0] - scale * p[0], c[1] - scale * p[1], c[2] - scale * p[2]
            distance[y, x] = np.sqrt(r * r + g * g + b * b)
            brightness[y, x] = scale
    return distance, brightness


def foreign(difference: Mask, prior: Mask) -> Mask:
    """How sure it is (0..1) that a pixel is not the background, lit brighter or darker.

    Args:
        difference: distance from the plate's colour, of 255.
        prior: MediaPipe's mask; says only where the noise can be measured.
    """
    outside = difference[prior < 0.02][::9]
    noise = max(1.0, float(np.median(outside))) if len(outside) > 50 else 2.0
    return np.clip((difference / noise - 4) / 4, 0, 1)


def _spread(brightness: Mask, rough: Mask) -> Mask:
    """The shadow's brightness, carried from the background a little way under the person."""
    radius = max(2, round(max(rough.shape) / 64))
    outside = cv2.erode((rough < 0.1).astype(np.uint8), np.ones((3, 3), np.uint8))
    outside = outside.astype(np.float32)
    window = (4 * radius + 1, 4 * radius + 1)
    weight: Mask = cv2.blur(outside, window)
    carried: Mask = cv2.blur(outside * brightness, window)
    return (carried + 0.01) / (weight + 0.01)


def edge_alpha(
    image: Image, small: UInt8[np.ndarray, "h w 3"], background: Colours, rough: Mask
) -> Mask:
    """Alpha where the rough mask has its edge, from the plate and the nearby foreground.

    Args:
        small: the image at working size.
        background: 0..255.
        rough: 0..1.
    """
    radius = max(2, round(max(rough.shape) / 128))
    solid = (rough > 0.5).astype(np.uint8)
    inside, reach = cv2.erode(solid, disk(radius)), cv2.dilate(solid, disk(radius))
    foreground, weight = _nearby(image, inside, 1.5 * radius)
    soft: Mask = cv2.blur(solid.astype(np.float32), (3, 3))
    alpha = _mixture(image, background, foreground, weight, inside, reach, soft)
    size = small.shape[1::-1]
    return follow_edges(
        image, small, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), 2, 1e-4
    )


def _nearby(image: Image, inside: UInt8[np.ndarray, "H W"], sigma: float) -> tuple[Colours, Mask]:
    """The colours of the inside carried across its edge, and how much of it is near (0..1)."""
    factor = 2 if max(inside.shape) > 300 else 1
    size = (inside.shape[1] // factor, inside.shape[0] // factor)
    area = cv2.INTER_AREA
    some: np.ndarray = cv2.resize(inside, size, interpolation=area).astype(np.float32)
    colours: np.ndarray = cv2.resize(image, size, interpolation=area).astype(np.float32)
    weight: np.ndarray = cv2.GaussianBlur(some, (0, 0), sigma / factor)
    carried: np.ndarray = cv2.GaussianBlur(colours * some[..., None], (0, 0), sigma / factor)
    carried /= np.maximum(weight, 1e-3)[..., None]
    return fit(carried, image), fit(weight, image)


@njit(cache=True, nogil=True)
def _mixture(image, background, foreground, weight, inside, reach, soft):
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
            contrast, along = np.float32(0), np.float32(0)
            for c in range(3):
                direction = foreground[y, x, c] - background[y, x, c]
                contrast += direction * direction
                along += direction * (image[y, x, c] - background[y, x, c])
            solved = along / max(contrast, np.float32(1))
            solved = min(np.float32(1), max(np.float32(0), solved))
            # Where foreground and plate look alike the equation says nothing: the mask does.
            trust = contrast / (contrast + CONTRAST * CONTRAST)
            trust *= min(np.float32(1), weight[y, x] / np.float32(0.02))
            alpha[y, x] = trust * solved + (1 - trust) * soft[y, x]
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
