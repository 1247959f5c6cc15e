"""Whether a clip is one continuous recording: cuts, repeated frames, a picture that never changes.

Everything is measured on thumbnails of the stored frames. Thresholds: the largest frame-to-frame
change that lasts within nine real talking heads is 0.33 (a man who shakes his head); between two
of these persons, each framed alike, it is 0.42 or more in all pairs but one.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

SIDE = 24  # pixels of a thumbnail
CUT, ABOVE = 0.35, 1.6  # change at a cut; its ratio to the changes around it
_LASTS = 4  # frames for which a change must last
_AROUND = 8  # frames on either side that a change is compared with
_OTHERS = 3  # changes among them that may be cuts too
_FLAT = 8.0  # levels of 255: standard deviation below which a picture shows nothing
STILL = 3  # levels of 255 by which thumbnails differ at most where nothing changes
Thumbnails = UInt8[np.ndarray, "N side side 3"]


def thumbnail(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "side side 3"]:
    """A frame reduced to SIDE x SIDE pixels, each the mean of its part."""
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@dataclass
class Continuity:
    """What the thumbnails of one clip show.

    Attributes:
        cuts: places of the first frames after a cut.
        repeated: share of the frames that equal the one before.
        still: whether nothing changes in the whole clip.
    """

    cuts: list[int] = field(default_factory=list)
    repeated: float = 0.0
    still: bool = False

    @classmethod
    def of(cls, thumbnails: Thumbnails) -> "Continuity":
        """Measure a clip's thumbnails, in order."""
        if len(thumbnails) < 2:
            return cls()
        same = (thumbnails[1:] == thumbnails[:-1]).all((1, 2, 3))
        extent = thumbnails.max(0).astype(int) - thumbnails.min(0)
        return cls(
            cuts(changes(thumbnails)).tolist(),
            float(same.mean()),
            bool(extent.max() <= STILL),
        )

    def longest(self, count: int) -> slice:
        """The longest part of `count` frames without a cut."""
        edges = [0, *self.cuts, count]
        begin = int(np.argmax(np.diff(edges)))
        return slice(edges[begin], edges[begin + 1])


def changes(thumbnails: Thumbnails) -> Float[np.ndarray, "M"]:
    """How much the picture changes for good from each frame to the next, whatever its exposure.

    Grey levels are centred and divided by their norm; half the squared distance of two such
    pictures is 1 minus their correlation, 0 for the same picture and 1 for unrelated ones. Taken
    is the smallest distance between one of the _LASTS frames before and one of those after: a
    shaken head comes back, and so does the picture after a flash.
    """
    one = cv2.cvtColor(thumbnails.reshape(-1, SIDE, 3), cv2.COLOR_RGB2GRAY)  # all in one image
    grey = one.reshape(len(thumbnails), -1).astype(np.float32)
    grey -= grey.mean(1, keepdims=True)
    grey /= np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), _FLAT * SIDE)
    change = np.full(len(grey) - 1, np.inf)
    squares = np.einsum("ij,ij->i", grey, grey)
    for gap in range(1, min(2 * _LASTS, len(grey))):
        shared = np.einsum("ij,ij->i", grey[gap:], grey[:-gap])
        apart = (squares[gap:] + squares[:-gap]) / 2 - shared
        # Frames i and i + gap stand on either side of the steps i to i + gap - 1.
        for before in range(max(0, gap - _LASTS), min(gap, _LASTS)):
            steps = change[before : before + len(apart)]
            np.minimum(steps, apart, out=steps)
    return change


def cuts(change: Float[np.ndarray, "M"]) -> Int[np.ndarray, "K"]:
    """Places of the frames before which the picture is replaced by another one.

    Args:
        change: from each frame to the next, as `changes` gives it.
    """
    found = []
    for place in np.flatnonzero(change > CUT):
        around = np.r_[change[max(0, place - _AROUND) : place], change[place + 1 :][:_AROUND]]
        usual = np.sort(around)[: max(0, len(around) - _OTHERS)].max(initial=0.0)
        if change[place] > ABOVE * usual:
            found.append(int(place) + 1)
    return np.array(found, np.int64)
