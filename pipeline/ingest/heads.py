"""Heads in samples of a camera's clips, and the window around them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, groupby

import numpy as np
from jaxtyping import Bool, Float, UInt8

from pipeline.detect import landmarks
from pipeline.detect.persons import beside

# Around a face-mesh box of height 1 (chin to the upper forehead): hair above, neck and the upper
# shoulders below, the same to either side.
ABOVE, BELOW, BESIDE = 0.6, 0.65, 0.65


@dataclass(frozen=True)
class Heads:
    """Heads in samples of a camera's clips.

    Attributes:
        frame: width and height of a sample, pixels.
        samples: how many there are.
        window: x, y, width, height in pixels of the part that holds the head in every sample, with
            hair and upper shoulders; square where the frame allows; None where no sample shows a
            face.
        share: of the samples, how many show a face.
        absent: the longest stretch without a face, as shares of the samples: begin and end.
        spread: pixels of a window around the median face, as a share of those of `window`: what a
            head that moves about gets of the pixels of a still head.
        width: of the median face, pixels.
        roll: median tilt of the line through the eyes, degrees, positive clockwise as seen.
        crowd: most faces seen at once.
        others: left, top, right, bottom in pixels of the faces of other persons who are there in
            most samples.
    """

    frame: tuple[int, int]
    samples: int
    window: tuple[int, int, int, int] | None
    share: float = 0.0
    absent: tuple[float, float] = (0.0, 1.0)
    spread: float = 1.0
    width: float = 0.0
    roll: float = 0.0
    crowd: int = 0
    others: landmarks.Boxes = field(default_factory=lambda: np.zeros((0, 4)))


Detector = Callable[[Iterable[np.ndarray]], tuple[landmarks.Detections, list[landmarks.Boxes]]]


def find_heads(samples: Iterable[UInt8[np.ndarray, "H W 3"]], detector: Detector) -> Heads:
    """Look for heads in frames of one camera; of several persons one is followed.

    Args:
        samples: frames; those of another size than the first are left out.
        detector: detects one person's landmarks and all faces' boxes: `landmarks.SampleDetector`.
    """
    frames = iter(samples)
    first = next(frames)
    height, width = first.shape[:2]
    same = (frame for frame in chain([first], frames) if frame.shape == first.shape)
    found, places = detector(same)
    crowd = max(len(boxes) for boxes in places)
    if not found.found.any():
        return Heads((width, height), len(found.found), None, crowd=crowd)
    faces = found.points[found.found]
    low, high = faces.min(1), faces.max(1)
    eyes = faces[:, landmarks.LEFT_EYE] - faces[:, landmarks.RIGHT_EYE]
    window = around(low, high, (width, height))
    centre, extent = np.median((low + high) / 2, 0), np.median(high - low, 0)
    still = around((centre - extent / 2)[None], (centre + extent / 2)[None], (width, height))
    return Heads(
        (width, height),
        len(found.found),
        window,
        float(found.found.mean()),
        _absent(found.found),
        min(1.0, (max(still[2:]) / max(window[2:])) ** 2),
        float(np.median(high[:, 0] - low[:, 0])),
        float(np.median(np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0])))),
        crowd,
        beside(places, np.concatenate([found.points.min(1), found.points.max(1)], axis=1)),
    )


def _absent(found: Bool[np.ndarray, "N"]) -> tuple[float, float]:
    """The longest run of samples without a face, begin and end as shares of all."""
    longest, place = (0, 0), 0
    for seen, run in groupby(found):
        length = len(list(run))
        if not seen and length > longest[1] - longest[0]:
            longest = (place, place + length)
        place += length
    return longest[0] / len(found), longest[1] / len(found)


def around(
    low: Float[np.ndarray, "N 2"], high: Float[np.ndarray, "N 2"], frame: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A window around face boxes.

    Args:
        low, high: upper left and lower right corner of each box, pixels.
        frame: width and height of the frame.
    Returns:
        x, y, width, height: square, and where the frame is too small for that cut to the frame.
    """
    # The middle size, so that one turned or wrong detection does not blow the window up.
    unit = float(np.median(high[:, 1] - low[:, 1]))
    left, right = low[:, 0].min() - BESIDE * unit, high[:, 0].max() + BESIDE * unit
    top, bottom = low[:, 1].min() - ABOVE * unit, high[:, 1].max() + BELOW * unit
    side = max(right - left, bottom - top)
    size = [round(min(side, limit)) for limit in frame]
    corner = [
        round(min(max(middle - extent / 2, 0), limit - extent))
        for middle, extent, limit in zip(
            ((left + right) / 2, (top + bottom) / 2), size, frame, strict=True
        )
    ]
    return corner[0], corner[1], size[0], size[1]
