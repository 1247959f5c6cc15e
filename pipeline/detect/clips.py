"""Landmarks of clips: frames cut into runs, and a face tracked through each.

One face is detected, which is fast. Where a sample shows several, or the face leaps, all faces are
detected, and `subject_face.choose` selects the subject's. Images in which faces are upside down are
rotated first: the detector would find a wrong face in them.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8

from pipeline.detect import subject_face
from pipeline.detect.face_mesh import FaceFinder, FaceMesh
from pipeline.detect.landmarks import MAX_FACES, Faces, one_each
from pipeline.detect.small_faces import Follower

CHUNK = 256  # frames of one clip per tracker run: fixed, so that workers do not change results
LEAD_IN = 5  # frames run before a chunk that starts inside a clip, for the tracker to settle
CROWD_STRIDE = 16  # frames between two samples in which faces are counted
# Images of a run tried in quarter turns; by how much the score of a turn must be higher.
SAMPLES, MARGIN = 4, 0.1

Images = Callable[[int], UInt8[np.ndarray, "H W 3"]]


def clips(
    camera: Int[np.ndarray, "M"], sequence: np.ndarray, index: Int[np.ndarray, "M"]
) -> list[list[int]]:
    """The rows of each clip, one (camera, sequence), in order of `index`."""
    found: dict[tuple[int, str], list[int]] = {}
    for row in np.lexsort((index, sequence, camera)):
        found.setdefault((int(camera[row]), str(sequence[row])), []).append(int(row))
    return list(found.values())


def runs(
    camera: Int[np.ndarray, "M"], sequence: np.ndarray, index: Int[np.ndarray, "M"]
) -> list[tuple[list[int], list[int]]]:
    """Cut frames into tracker runs.

    Args:
        camera, sequence, index: of every row; rows of one (camera, sequence) are one clip and
            run in order of `index`.
    Returns:
        Per run the rows to warm up on (none at a clip's start) and the rows to keep.
    """
    found = []
    for rows in clips(camera, sequence, index):
        pieces = math.ceil(len(rows) / CHUNK)
        edges = [len(rows) * piece // pieces for piece in range(pieces + 1)]
        for start, stop in itertools.pairwise(edges):
            found.append((rows[max(0, start - LEAD_IN) : start], rows[start:stop]))
    return found


def share(sizes: list[int], worker: int, workers: int) -> list[int]:
    """Which runs a worker takes: largest first, each to whoever has least to do."""
    load = [0] * workers
    mine = []
    for run in sorted(range(len(sizes)), key=lambda run: -sizes[run]):
        least = load.index(min(load))
        load[least] += sizes[run]
        if least == worker:
            mine.append(run)
    return sorted(mine)


def detect_run(
    image: Images,
    lead_in: list[int],
    keep: list[int],
    time: Float[np.ndarray, "M"],
    finder: FaceFinder,
) -> list[Faces]:
    """The faces in each frame of a run: one, or all where there may be another person."""
    quarters = _upright(image, keep[:: max(1, len(keep) // SAMPLES)], finder)
    samples = set(keep[::CROWD_STRIDE])
    counts = []

    def counted(row: int) -> UInt8[np.ndarray, "H W 3"]:
        picture = image(row)
        if row in samples:
            counts.append(len(finder.boxes(np.rot90(picture, quarters))))
        return picture

    found = _follow(counted, lead_in, keep, finder, quarters)
    if max(counts) > 1 or subject_face.leaps(one_each(found).points, time):
        found = _follow(image, lead_in, keep, finder, quarters, MAX_FACES)
    return found


def _follow(
    image: Images,
    lead_in: list[int],
    keep: list[int],
    finder: FaceFinder,
    quarters: int = 0,
    most: int = 1,
) -> list[Faces]:
    with FaceMesh(most=most) as mesh:
        follower = Follower(mesh, finder)
        deque((follower.detect(np.rot90(image(row), quarters)) for row in lead_in), maxlen=0)
        return [_detect_turned(follower, image(row), quarters) for row in keep]


def _upright(image: Images, samples: list[int], finder: FaceFinder) -> int:
    """By how many quarter turns (anticlockwise) the images must be rotated for upright faces."""
    pictures = [image(row) for row in samples]

    def score(quarters: int) -> float:
        return float(np.median([finder.score(np.rot90(picture, quarters)) for picture in pictures]))

    as_it_is = score(0)
    if as_it_is + MARGIN >= 1:  # no turn can score higher by that
        return 0
    scores = [as_it_is, *map(score, (1, 2, 3))]
    best = int(np.argmax(scores))
    return best if scores[best] > as_it_is + MARGIN else 0


def _detect_turned(
    follower: Follower, image: UInt8[np.ndarray, "H W 3"], quarters: int
) -> Float[np.ndarray, "K 478 2"]:
    height, width = image.shape[:2]
    turned = np.ascontiguousarray(np.rot90(image, quarters))
    return turn_back(follower.detect(turned), (width, height), quarters)


def turn_back(
    points: Float[np.ndarray, "*B 2"], size: tuple[int, int], quarters: int
) -> Float[np.ndarray, "*B 2"]:
    """Carry pixels of `np.rot90(image, quarters)` to those of the image of `size` (w, h)."""
    x, y = points[..., 0], points[..., 1]
    width, height = size
    turned = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarters]
    return np.stack(turned, -1)
