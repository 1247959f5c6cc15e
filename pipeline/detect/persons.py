"""The other persons of a clip: where their faces are in each frame, beside the subject's."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from pipeline.detect import subject_face
from pipeline.detect.clips import CROWD_STRIDE
from pipeline.detect.face_mesh import FaceFinder
from pipeline.detect.landmarks import Boxes

APART = 1.0  # subject's face sizes between two faces: nearer ones are the same face twice
LIKE = 0.35  # of the subject's face size; a smaller face belongs to the background
SEEN = 5  # frames in which another face must be found
LINK = 0.7  # face sizes between one frame's face and the next of the same person
MOST = 0.6  # of the samples that must show a person who is taken to be there all the time
ABSENCE = 1.0  # s for which an undetected face is taken to be still there

Box = Float[np.ndarray, "4"]


@dataclass(frozen=True)
class Persons:
    """Boxes (left, top, right, bottom, px) of the faces in a frame.

    Attributes:
        subject: the face that is tracked.
        others: all others.
    """

    subject: Box
    others: Float[np.ndarray, "K 4"]


@dataclass
class _Track:
    """The boxes of one other person, by frame."""

    boxes: dict[int, Box] = field(default_factory=dict)


def in_clip(
    image: Callable[[int], UInt8[np.ndarray, "H W 3"]],
    rows: list[int],
    time: Float[np.ndarray, "M"],
    finder: FaceFinder,
    unseen: Boxes | None = None,
) -> list[Persons] | None:
    """The persons in each frame of a clip; None: there is nobody beside the subject.

    All frames are searched only where a sample shows several faces, or somebody stands beside
    the frame.

    Args:
        rows: of the clip's frames, in order; `image` gives their images.
        time: of every frame, s.
        unseen: faces outside the frame of persons who may reach into it.
    """
    sparse = {row: finder.boxes(image(row)) for row in rows[::CROWD_STRIDE]}
    if max(len(boxes) for boxes in sparse.values()) < 2 and not (
        unseen is not None and len(unseen)
    ):
        return None
    found = [sparse[row] if row in sparse else finder.boxes(image(row)) for row in rows]
    return tell_apart(found, time, unseen)


def tell_apart(
    found: list[Boxes], time: Float[np.ndarray, "M"], unseen: Boxes | None = None
) -> list[Persons] | None:
    """Which boxes of each frame are the subject's and which are other persons'.

    Args:
        unseen: faces outside the frame, there in all frames.
    Returns:
        The persons of every frame, boxes interpolated where a face was not found for a while;
        None: there is nobody beside the subject.
    """
    frame = np.repeat(np.arange(len(found)), [len(boxes) for boxes in found])
    boxes = np.concatenate([*found, np.zeros((0, 4))])
    centre, size = _shape(boxes)
    chosen = subject_face.best_path(centre, size, np.zeros(len(size)), frame, time)
    if not (chosen >= 0).any():
        return None
    subject = _interpolated(boxes[chosen[chosen >= 0]], chosen >= 0, time)
    others = np.ones(len(boxes), bool)
    others[chosen[chosen >= 0]] = False
    others &= _is_another(boxes, subject[frame])
    tracks = _tracks(boxes[others], frame[others], time)
    tracks += [dict.fromkeys(range(len(time)), box) for box in ([] if unseen is None else unseen)]
    if not tracks:
        return None
    return [
        Persons(box, np.array([there[k] for there in tracks if k in there]).reshape(-1, 4))
        for k, box in enumerate(subject)
    ]


def beside(found: list[Boxes], subject: Float[np.ndarray, "M 4"]) -> Boxes:
    """Median boxes of the other persons who are there in most of some sampled frames.

    Args:
        found: all faces of each sample.
        subject: the subject's face in each; NaN: it was not found.
    """
    groups: list[list[Box]] = []
    for boxes, mine in zip(found, subject, strict=True):
        another = _is_another(boxes, np.repeat(mine[None], len(boxes), 0))
        for box in boxes[another]:
            centre, size = _shape(box[None])
            middles = [_shape(np.median(group, axis=0)[None])[0][0] for group in groups]
            far = [float(np.linalg.norm(centre[0] - middle)) for middle in middles]
            if far and min(far) < LINK * size[0]:
                groups[int(np.argmin(far))].append(box)
            else:
                groups.append([box])
    often = [group for group in groups if len(group) > MOST * len(found)]
    return np.array([np.median(group, axis=0) for group in often]).reshape(-1, 4)


def _shape(boxes: Float[np.ndarray, "N 4"]) -> tuple[np.ndarray, np.ndarray]:
    """Centre and size (px) of boxes."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(sides.max(1), 1e-3)


def _is_another(
    boxes: Float[np.ndarray, "N 4"], subject: Float[np.ndarray, "N 4"]
) -> Bool[np.ndarray, "N"]:
    """Whether a box may be another person's face: apart from the subject's and as large.

    A face right below the subject's is a picture on the clothes.
    """
    (centre, size), (middle, unit) = _shape(boxes), _shape(subject)
    away = (centre - middle) / unit[:, None]
    below = (away[:, 1] > 0) & (np.abs(away[:, 0]) < 0.5 * APART)
    return (np.linalg.norm(away, axis=1) > APART) & (size > LIKE * unit) & ~below


def _interpolated(
    boxes: Float[np.ndarray, "K 4"], known: Bool[np.ndarray, "M"], time: Float[np.ndarray, "M"]
) -> Float[np.ndarray, "M 4"]:
    """Boxes at all times from those where they are known."""
    return np.stack([np.interp(time, time[known], side) for side in boxes.T], axis=1)


def _tracks(
    boxes: Float[np.ndarray, "N 4"], frame: Int[np.ndarray, "N"], time: Float[np.ndarray, "M"]
) -> list[dict[int, Box]]:
    """The boxes of each other person by frame: linked to the nearest one before."""
    tracks: list[_Track] = []
    for box, k in zip(boxes, frame, strict=True):
        centre, size = _shape(box[None])
        near: list[tuple[float, int, _Track]] = []
        for track in tracks:
            last = max(track.boxes)
            before, unit = _shape(track.boxes[last][None])
            far = float(np.linalg.norm(centre - before) / max(size[0], unit[0]))
            if last < k and time[k] - time[last] <= 2 * ABSENCE and far < LINK:
                near.append((far, len(near), track))
        track = min(near, key=lambda entry: entry[:2])[2] if near else _Track()
        if not near:
            tracks.append(track)
        track.boxes[int(k)] = box
    return [_filled(track, time) for track in tracks if len(track.boxes) >= SEEN]


def _filled(track: _Track, time: Float[np.ndarray, "M"]) -> dict[int, Box]:
    """A track with its gaps filled, and held for a while before its first and after its last."""
    frames = sorted(track.boxes)
    known = np.isin(np.arange(len(time)), frames)
    boxes = _interpolated(np.array([track.boxes[k] for k in frames]), known, time)
    first, last = time[frames[0]] - ABSENCE, time[frames[-1]] + ABSENCE
    return {k: boxes[k] for k in np.flatnonzero((time >= first) & (time <= last)).tolist()}
