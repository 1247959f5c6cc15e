"""The subject's face among those that a clip shows.

A detector works on one image at a time: it may find a bystander, a picture on the wall, or the
subject mirrored or in the wrong size. The subject is the face whose path through the clip is
long, large and without leaps.
"""

import numpy as np
from jaxtyping import Float, Int

from pipeline.detect.face_mesh import LEFT_EYE, RIGHT_EYE

LEAP, SPEED = 0.15, 4.0  # face sizes, and face sizes a second: no head moves farther
GROWTH, GROWTH_SPEED = 0.2, 1.0  # of the logarithm of a face's size, and a second
SHORT = 0.25  # s; a longer absence allows no longer way
TILT = 60.0  # degrees that a head does not roll within `SHORT`
MEMORY = 2.0  # s; after that any place is as likely as any other
JUMP = 1.0  # s of detections that a leap must gain to be accepted


def choose(
    points: Float[np.ndarray, "N 478 2"],
    frame: Int[np.ndarray, "N"],
    time: Float[np.ndarray, "M"],
) -> Int[np.ndarray, "M"]:
    """Which of the faces found in each frame of a clip is the subject's.

    Args:
        points: landmarks (px) of all faces found.
        frame: which frame each is of, ascending.
        time: of every frame, s.
    Returns:
        For every frame the row in `points`, or -1: no face, or none that is the subject's.
    """
    return best_path(*_shapes(points), frame, time)


def best_path(
    centre: Float[np.ndarray, "N 2"],
    size: Float[np.ndarray, "N"],
    tilt: Float[np.ndarray, "N"],
    frame: Int[np.ndarray, "N"],
    time: Float[np.ndarray, "M"],
) -> Int[np.ndarray, "M"]:
    """As `choose`, from the faces' centres (px), sizes (px) and tilts (degrees).

    The best path by dynamic programming (Viterbi): a face is worth its size, a leap costs
    `JUMP` seconds of faces. So a stretch elsewhere, shorter than twice that, is left out.
    """
    chosen = np.full(len(time), -1)
    if len(frame) == 0:
        return chosen
    pace = float(np.median(np.diff(time))) if len(time) > 1 else 1 / 30
    leap_cost = JUMP / max(pace, 1e-3)
    worth = _worth(size, frame, len(time))
    starts = np.searchsorted(frame, frame)  # the first face of each face's frame
    when = time[frame]
    oldest = np.searchsorted(when, when - MEMORY)
    total, previous = worth.copy(), np.full(len(frame), -1)
    best = -1  # the best end of a path in an earlier frame
    for row in range(len(frame)):
        if row == starts[row] and row > 0:
            last = np.arange(starts[row - 1], row)
            candidates = last if best < 0 else np.append(last, best)
            best = int(candidates[total[candidates].argmax()])
        if best >= 0 and total[best] > leap_cost:
            total[row], previous[row] = worth[row] + total[best] - leap_cost, best
        earlier = np.arange(oldest[row], starts[row])
        if len(earlier) == 0:
            continue
        way = _way(centre, size, tilt, earlier, row, when[row] - when[earlier])
        reached = np.where(way < 1, total[earlier] - 0.5 * way, -np.inf)
        nearest = int(reached.argmax())
        if worth[row] + reached[nearest] > total[row]:
            total[row], previous[row] = worth[row] + reached[nearest], earlier[nearest]
    row = int(total.argmax())
    while row >= 0:
        chosen[frame[row]] = row
        row = int(previous[row])
    return chosen


def _worth(
    size: Float[np.ndarray, "N"], frame: Int[np.ndarray, "N"], frames: int
) -> Float[np.ndarray, "N"]:
    """What a face adds to a path: its size, of that of the clip's usual largest face."""
    largest = np.zeros(frames)
    np.maximum.at(largest, frame, size)
    return np.minimum(1, size / np.median(largest[largest > 0]))


def leaps(points: Float[np.ndarray, "M 478 2"], time: Float[np.ndarray, "M"]) -> bool:
    """Whether a path of faces (NaN: none) contains a move that no head makes."""
    rows = np.flatnonzero(np.isfinite(points[:, 0, 0]))
    if len(rows) < 2:
        return False
    shapes = _shapes(points[rows])
    here = np.arange(1, len(rows))
    return bool((_way(*shapes, here - 1, here, np.diff(time[rows])) >= 1).any())


def _shapes(points: Float[np.ndarray, "N 478 2"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre (px), size (px) and tilt (degrees) of faces."""
    eyes = points[:, LEFT_EYE] - points[:, RIGHT_EYE]
    size = np.ptp(points, axis=1).max(1)
    return points.mean(1), np.maximum(size, 1e-3), np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))


def _way(
    centre: np.ndarray,
    size: np.ndarray,
    tilt: np.ndarray,
    first: np.ndarray,
    second: np.ndarray | int,
    elapsed: np.ndarray,
) -> Float[np.ndarray, "K"]:
    """From one face to another: 1 and more is farther than a head comes in that time."""
    mean = np.sqrt(size[first] * size[second])
    moved = np.linalg.norm(centre[second] - centre[first], axis=-1) / mean
    grown = np.abs(np.log(size[second] / size[first]))
    turned = np.abs((tilt[second] - tilt[first] + 180) % 360 - 180)
    short = np.minimum(elapsed, SHORT)
    way = np.maximum(moved / (LEAP + SPEED * short), grown / (GROWTH + GROWTH_SPEED * short))
    return np.maximum(way, np.where(elapsed < SHORT, turned / TILT, 0))
