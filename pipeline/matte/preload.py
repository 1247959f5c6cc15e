"""What every matting process needs, loaded once: they are forked from a server that imports this.

Starting Numba takes half a second, MediaPipe's import a tenth. No graph of MediaPipe's is made
here: one that runs does not survive a fork.
"""

import cv2
import numpy as np

from pipeline.detect.mediapipe_import import import_mediapipe
from pipeline.matte.backends.mediapipe import refined
from pipeline.matte.temporal import Steady


def _warm_up() -> None:
    """Matte a small picture from a mask that no network made: kernels are read from their cache."""
    import_mediapipe()
    cv2.setNumThreads(1)  # no thread may run when the process is forked
    image = np.zeros((512, 512, 3), np.uint8)
    small, mask = image[::2, ::2], np.zeros((256, 256), np.float32)
    mask[100:] = 1
    alpha = (255 * refined(image, small, mask)).astype(np.uint8)
    steady = Steady()
    for _ in range(2):
        steady(image, alpha)


_warm_up()
