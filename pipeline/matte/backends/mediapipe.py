"""Backend `mediapipe`: selfie segmentation, refined along the image's edges."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.matte.backends import Alpha, Image, Share
from pipeline.matte.masks import person_masks, subject_of
from pipeline.matte.refine import disk, fit, follow_edges, one_person, shrink, to_uint8


class Segmentation:
    """Alphas of one clip from the images alone."""

    def __init__(self) -> None:
        self._masks = person_masks()

    def __call__(self, image: Image, share: Share | None = None) -> Alpha:
        """The alpha of the next image."""
        small = shrink(image)
        return to_uint8(refined(image, small, subject_of(self._masks(small), share)))


def refined(
    image: Image, small: UInt8[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "H W"]:
    """A rough mask made to follow the image's edges, one person only.

    Args:
        small, mask: the image and its mask at working size.
    """
    # The mask's edges waver by two or three pixels of the working size: the image's edges may
    # lead by two, no further, lest a dark rail behind a dark shirt counts as shirt.
    reach = cv2.dilate((mask > 0.5).astype(np.uint8), disk(2))
    alpha = follow_edges(image, small, mask, 4, 1e-4)
    alpha *= fit(cv2.blur(reach.astype(np.float32), (3, 3)), image)
    return one_person(alpha)
