"""Alpha that keeps still where the picture does."""

import cv2
import numpy as np
from jaxtyping import Float
from numba import njit

from pipeline.matte.backends import Alpha, Image
from pipeline.matte.refine import shrink

# Weight of what was, where nothing moves.
MEMORY = np.float32(0.8)
# A pixel has moved for certain when its colour changed by this many times the usual change, and
# kept still for certain below the first.
STILL, MOVED = 1.5, 3.0
# A change of alpha from the first on is less and less, from the second on never, called flicker:
# where hair uncovers something as dark the colours tell nothing.
FLICKER, CHANGE = np.float32(0.2), np.float32(0.4)
NOISE = (0.7, 2.5)  # of 255: no video is cleaner; a usual change of more is the camera moving


class Steady:
    """Averages the alphas of one clip over time where colours do not change.

    Each pixel follows its own past as far as its colour, averaged in the same way, agrees with
    the new frame's and its alpha changes little: where something moves the past is ignored, so
    nothing trails behind it, and a slow drift is noticed because the averaged colour lags with the
    alpha.
    """

    def __init__(self) -> None:
        self._colours: Float[np.ndarray, "h w 3"] | None = None
        self._alpha: Float[np.ndarray, "H W"] | None = None

    def __call__(self, image: Image, alpha: Alpha) -> Alpha:
        """The steadied alpha of the clip's next frame."""
        colours = cv2.boxFilter(shrink(image), cv2.CV_32F, (3, 3))
        if self._colours is None or self._alpha is None:
            self._colours, self._alpha = colours, alpha.astype(np.float32)
            return alpha
        memory = _memory(_largest(colours, self._colours))
        self._colours = cv2.blendLinear(self._colours, colours, memory, 1 - memory)
        weight = cv2.resize(memory, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return _follow(self._alpha, alpha, weight)


def _memory(change: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Weight of the past at each pixel, from the change of its colour."""
    usual = float(np.clip(np.median(change[::4, ::4]), *NOISE))
    moved = np.clip(change / (usual * (MOVED - STILL)) - STILL / (MOVED - STILL), 0, 1)
    # What moves takes its surroundings along.
    moved = np.asarray(cv2.dilate(moved, np.ones((3, 3), np.uint8)))
    memory: Float[np.ndarray, "h w"] = MEMORY * (1 - moved)
    return memory


@njit(cache=True, nogil=True)
def _largest(a, b):
    """The largest difference of a colour channel."""
    result = np.empty(a.shape[:2], np.float32)
    for y in range(a.shape[0]):
        for x in range(a.shape[1]):
            result[y, x] = max(
                abs(a[y, x, 0] - b[y, x, 0]),
                abs(a[y, x, 1] - b[y, x, 1]),
                abs(a[y, x, 2] - b[y, x, 2]),
            )
    return result


@njit(cache=True, nogil=True)
def _follow(before, alpha, weight):
    """Move `before` towards `alpha`; the rounded result."""
    result = np.empty(alpha.shape, np.uint8)
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            new = np.float32(alpha[y, x])
            left = before[y, x] - new
            limit = (CHANGE - abs(left) * np.float32(1 / 255)) / (CHANGE - FLICKER)
            value = new + weight[y, x] * min(np.float32(1), max(np.float32(0), limit)) * left
            before[y, x] = value
            result[y, x] = np.uint8(value + np.float32(0.5))
    return result
