"""Backend `mediapipe`: selfie segmentation, refined along the image's edges."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.landmarks import quiet_stderr
from pipeline.matting import Alpha, Image
from pipeline.matting.refine import disk, fit, follow_edges, one_person, shrink, to_uint8


class PersonMasks:
    """Rough masks of the images of one clip.

    The lesser of MediaPipe's two segmentation networks, the general one and the landscape one:
    each takes some patch of background for a person now and then, seldom both the same.
    """

    def __init__(self) -> None:
        with quiet_stderr():
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

            self._networks = [SelfieSegmentation(model_selection=model) for model in (0, 1)]
            # They remark on themselves when they see their first image.
            self(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, small: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The mask of an image at working size: float32, 0..1.

        The networks see 256 x 256 and 256 x 144 pixels: a larger image gives no better mask.
        """
        general, landscape = (
            network.process(small).segmentation_mask for network in self._networks
        )
        mask: Float[np.ndarray, "h w"] = np.minimum(general, landscape)
        return mask

    def __del__(self) -> None:
        # A graph that still runs keeps its memory, and a long clip starts one every piece.
        for network in getattr(self, "_networks", ()):
            network.close()


class Segmentation:
    """Alphas of one clip from the images alone."""

    def __init__(self) -> None:
        self._masks = PersonMasks()

    def __call__(self, image: Image) -> Alpha:
        """The alpha of the next image."""
        small = shrink(image)
        return to_uint8(refined(image, small, self._masks(small)))


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
