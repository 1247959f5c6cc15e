"""Backend `pymatting`: the edge solved for in closed form (Levin, Lischinski, Weiss 2008)."""

import cv2
import numpy as np
from jaxtyping import Float

from pipeline.matte.backends import Alpha, Image, Share
from pipeline.matte.backends.mediapipe import refined
from pipeline.matte.masks import person_masks, subject_of
from pipeline.matte.refine import disk, one_person, shrink, to_uint8

# Variance (of colours 0..1) that is noise: with the library's 1e-7 the demo's alpha error is half
# as large again.
EPSILON = 1e-4
HAZE = 0.15


class ClosedForm:
    """Alphas of one clip: slow (seconds a frame), no model of the background needed."""

    def __init__(self) -> None:
        self._masks = person_masks()

    def __call__(self, image: Image, share: Share | None = None) -> Alpha:
        """The alpha of the next image."""
        from pymatting import estimate_alpha_cf  # takes a second to import

        small = shrink(image)
        rough = refined(image, small, subject_of(self._masks(small), share))
        trimap = make_trimap(rough)
        if (trimap == 0).all() or (trimap == 1).all() or not (trimap == 0.5).any():
            return to_uint8(trimap)
        alpha = estimate_alpha_cf(image / 255.0, trimap, laplacian_kwargs={"epsilon": EPSILON})
        # The solution leaves a haze in the undecided band, as a guided filter does.
        return to_uint8(one_person(((alpha - HAZE) / (1 - 2 * HAZE)).astype(np.float32)))


def make_trimap(rough: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """What is certain: 0 background, 1 person, 0.5 a band about the edge (float64).

    Args:
        rough: alpha, 0..1; what it leaves undecided is undecided here.
    """
    radius = max(2, round(max(rough.shape) / 100))
    reach: np.ndarray = cv2.dilate((rough > 0.05).astype(np.uint8), disk(radius))
    inside: np.ndarray = cv2.erode((rough > 0.95).astype(np.uint8), disk(radius))
    return np.where(inside > 0, 1.0, np.where(reach > 0, 0.5, 0.0))
