"""Backend `plate`: difference against an image of the empty scene."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.matting.refine import disk, follow_edges, one_person, to_uint8,shrink,fit
from pipeline.matting.segmentation import PersonMasks

Image = UInt8[np.ndarray, "H W 3"]
Mask = Float[np.ndarray, "H W"]

# A shadow or a change of light scales the plate's colour by this at least and at most.
DARKEST, BRIGHTEST = 0.55, 1.15


class PlateMatting:
    """Alphas of clips of one camera whose empty scene is known.

    A pixel is background where its colour is the plate's times a brightness that a soft shadow
    can explain, within the noise that the background itself shows. MediaPipe's mask fills the
    person's inside, where a colour may happen to equal the plate's. At the edge alpha solves
    `image = alpha foreground + (1 - alpha) plate` with the foreground of the nearby inside.
    """

    def __init__(self, plate: Image) -> None:
        self.plate = plate.astype(np.float32)
        self._lit = plate.min(2) > 20

        self._masks = PersonMasks()

    def __call__(self, image):
        small = shrink(image)
        return self._matte((image, fit(self._masks(small), image)))

    def _matte(self, job: tuple[Image, Mask]) -> UInt8[np.ndarray, "H W"]:
        image, prior = job
        colours = image.astype(np.float32)
        background = self._relit(colours, prior)
        rough = one_person(np.maximum(foreign(colours, background, prior), _inside(prior)))
        alpha = edge_alpha(colours, background, rough)
        return to_uint8(one_person(alpha))

    def _relit(self, colours: Float[np.ndarray, "H W 3"], prior: Mask) -> np.ndarray:
        """The plate under this frame's exposure: one factor a channel, from the background."""
        # Every third pixel either way is plenty for a median.
        some = (slice(None, None, 3), slice(None, None, 3))
        outside = (prior[some] < 0.02) & self._lit[some]
        if outside.sum() < 50:
            return self.plate
        gain = np.median(colours[some][outside] / self.plate[some][outside], axis=0)
        return self.plate * np.clip(gain, 0.7, 1.4).astype(np.float32)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of products over the colours; NumPy's sum over a short last axis is ten times slower."""
    return cv2.transform(a * b, np.ones((1, 3), np.float32))


def foreign(
    colours: Float[np.ndarray, "H W 3"], background: Float[np.ndarray, "H W 3"], prior: Mask
) -> Mask:
    """How sure it is (0..1) that a pixel is not the background, lit brighter or darker.

    Args:
        colours, background: 0..255.
        prior: MediaPipe's mask; says only where the noise can be measured.
    """
    smooth: np.ndarray = cv2.blur(colours, (3, 3))
    plate: np.ndarray = cv2.blur(background, (3, 3))
    brightness = _dot(smooth, plate) / np.maximum(_dot(plate, plate), 1)
    brightness = np.clip(brightness, DARKEST, BRIGHTEST)[..., None]
    difference = smooth - brightness * plate
    distance = np.sqrt(_dot(difference, difference))
    outside = distance[prior < 0.02][::9]
    noise = max(1.0, float(np.median(outside))) if len(outside) > 50 else 2.0
    return np.clip((distance / noise - 4) / 4, 0, 1)


def edge_alpha(
    colours: Float[np.ndarray, "H W 3"], background: Float[np.ndarray, "H W 3"], rough: Mask
) -> Mask:
    """Alpha where the rough mask has its edge, from the plate and the nearby foreground.

    Args:
        colours, background: 0..255.
        rough: 0..1.
    """
    radius = max(2, round(max(rough.shape) / 128))
    # `foreign` looks at 3 x 3 pixels and so reaches one too far.
    solid = cv2.erode((rough > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
    inside = cv2.erode(solid, disk(radius)).astype(np.float32)
    outside = 1 - cv2.dilate(solid, disk(radius)).astype(np.float32)
    spread = (0, 0), 1.5 * radius
    weight: np.ndarray = cv2.GaussianBlur(inside, *spread)
    foreground: np.ndarray = cv2.GaussianBlur(colours * inside[..., None], *spread)
    foreground /= np.maximum(weight, 1e-3)[..., None]
    direction = foreground - background
    contrast = _dot(direction, direction)
    solved = _dot(colours - background, direction) / np.maximum(contrast, 1)
    # Where foreground and plate look alike the equation says nothing: the rough mask does.
    trust = (contrast / (contrast + 30.0**2)) * np.clip(weight / 0.02, 0, 1)
    soft = cv2.blur(solid.astype(np.float32), (3, 3))
    alpha = trust * np.clip(solved, 0, 1) + (1 - trust) * soft
    alpha = np.where(inside > 0, 1, np.where(outside > 0, 0, alpha)).astype(np.float32)
    f=cv2.ximgproc.guidedFilter(np.rint(colours).astype(np.uint8), alpha, 2, 1e-4 * 255**2)
    return np.clip((f-.2)/.6,0,1)


def _inside(prior: Mask) -> Mask:
    """Where MediaPipe is sure, well within its mask."""
    radius = max(3, round(max(prior.shape) / 40))
    # Beyond the frame the person goes on: its border must not be eaten.
    sure = cv2.copyMakeBorder(
        (prior > 0.9).astype(np.uint8), *(radius,) * 4, borderType=cv2.BORDER_REPLICATE
    )
    eroded = cv2.erode(sure, disk(radius))
    return eroded[radius:-radius, radius:-radius].astype(np.float32)
