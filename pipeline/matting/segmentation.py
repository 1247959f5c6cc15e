"""Backend `mediapipe`: selfie segmentation, refined along the image's edges."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.landmarks import quiet_stderr
from pipeline.matting.refine import follow_edges, one_person, to_uint8
from pipeline.parallel import threaded

Image = UInt8[np.ndarray, "H W 3"]


def person_masks(images: Iterable[Image]) -> Iterator[tuple[Image, Float[np.ndarray, "H W"]]]:
    """A rough mask (float32, 0..1) beside each image of one clip.

    The geometric mean of MediaPipe's two segmentation networks, the general one (256 x 256) and
    the landscape one (256 x 144): each takes some patch of background for a person now and then,
    seldom both the same. Their own temporal smoothing starts anew with every call.
    """
    with quiet_stderr():
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        networks = [SelfieSegmentation(model_selection=model) for model in (0, 1)]
    with networks[0], networks[1]:
        for number, image in enumerate(images):
            # The networks remark on themselves when they see their first image.
            with quiet_stderr() if number == 0 else nullcontext():
                general, landscape = (
                    network.process(image).segmentation_mask for network in networks
                )
            yield image, np.sqrt(general * landscape)


def segmentation(images: Iterable[Image]) -> Iterator[UInt8[np.ndarray, "H W"]]:
    """Alphas of one clip from the images alone."""
    yield from threaded(_refine, person_masks(images))


def _refine(job: tuple[Image, Float[np.ndarray, "H W"]]) -> UInt8[np.ndarray, "H W"]:
    image, mask = job
    # The mask comes at 256 pixels: the window covers what one of its pixels may hide.
    radius = max(4, round(max(image.shape) / 64))
    return to_uint8(one_person(follow_edges(image, mask, radius, 1e-4)))
