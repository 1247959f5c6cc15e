"""From a subject's ingested frames to what the solver observes: cameras and landmarks."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from pipeline.detect.landmarks import LEFT_EYE, NUM_LANDMARKS, RIGHT_EYE, Detections
from pipeline.track.solve.observations import Observations

CUT = 0.2  # eye distances between two frames of a thirtieth of a second, for a cut
SUDDEN = 3.0  # times the steps before and after it

# The rig's axes (y up, z towards the viewer) seen by a camera (y down, z away).
FACING = np.diag([1.0, -1.0, -1.0])


def cameras(ingest: Path, store: FrameStore, focal: float) -> tuple[Cameras, bool]:
    """The cameras of a capture, and whether they were given.

    A single camera without calibration is put at the world's origin; its focal length is
    `focal` times the larger side of the frame as it was filmed, before ingest cropped it.

    Raises:
        UserError: several cameras and no calibration.
    """
    given = ingest / "cameras.json"
    if given.is_file():
        return _in_order(given, Cameras.load(given), store), True
    if len(store.camera_ids) > 1:
        raise UserError(
            f"{ingest}: {len(store.camera_ids)} cameras but no cameras.json: add the calibration "
            "to the capture, or give one camera only"
        )
    viewmat = np.eye(4)
    viewmat[:3, :3] = FACING
    K = _guessed_intrinsics(ingest / "index.json", store.camera_ids[0], focal)
    zero = np.zeros((1, 5))
    return Cameras(store.camera_ids, K[None], viewmat[None], store.sizes, zero, np.zeros(1)), False


def origins(index: Path, names: list[str]) -> Float[np.ndarray, "C 2"]:
    """Where the source's pixel (0, 0) lies in the stored frames of each camera, px."""
    framings = [_framing(index, name) for name in names]
    return np.array(
        [np.subtract(center, np.multiply(scale, source) / 2) for scale, center, source in framings]
    )


def _guessed_intrinsics(index: Path, camera: str, focal: float) -> Float[np.ndarray, "3 3"]:
    """K of a stored frame whose source has its principal point in the middle."""
    scale, center, source = _framing(index, camera)
    length = focal * max(source)
    return np.array(
        [[length * scale[0], 0, center[0]], [0, length * scale[1], center[1]], [0, 0, 1]]
    )


def _framing(
    index: Path, camera: str
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """Of a camera: its scale, the source's centre in stored pixels, the source's size."""
    try:
        framing = files.read_json(index)["cameras"][camera]
        scale, center, source = framing["scale"], framing["center"], framing["source_size"]
        return (scale[0], scale[1]), (center[0], center[1]), (source[0], source[1])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        raise UserError(f"{index} is absent or damaged: run ingest again") from None


def _in_order(path: Path, loaded: Cameras, store: FrameStore) -> Cameras:
    missing = sorted(set(store.camera_ids) - set(loaded.ids))
    if missing:
        raise UserError(f"{path} lacks camera {missing[0]!r}, which has frames: add it")
    rows = [loaded.ids.index(name) for name in store.camera_ids]
    return Cameras(
        list(store.camera_ids), loaded.Ks[rows], loaded.viewmats[rows], store.sizes,
        loaded.distortion[rows], loaded.time_offsets[rows],
    )  # fmt: skip


def observations(
    store: FrameStore, calibration: Cameras, found: Detections, ids: Int[np.ndarray, "L"]
) -> Observations:
    """Arrange detected landmarks by timestep and camera.

    A clip is a stretch without a cut: the smoothness that holds a head together in time must not
    pull at frames on both sides of one.

    Args:
        ids: which of MediaPipe's landmarks, in the order of the model's.
    """
    count, cams = len(store.sequence), len(store.camera_ids)
    points = np.full((count, cams, NUM_LANDMARKS, 2), np.nan, np.float32)
    seen = np.zeros((count, cams), bool)
    rows = np.flatnonzero(found.found)
    points[store.timestep[rows], store.camera[rows]] = found.points[rows]
    seen[store.timestep[rows], store.camera[rows]] = True
    sequence = np.unique(store.sequence, return_inverse=True)[1]
    clip = sequence + np.cumsum(cuts(points, sequence, store.time))
    return Observations(
        points[:, :, ids], seen, calibration.Ks, calibration.viewmats, store.time, clip
    )


def cuts(
    points: Float[np.ndarray, "T C 478 2"],
    sequence: Int[np.ndarray, "T"],
    time: Float[np.ndarray, "T"],
) -> Bool[np.ndarray, "T"]:
    """Frames with which a new shot begins: the face leaps from rest to rest.

    A head that leaps by `CUT` between two frames and is slow before and after would have to
    withstand several times its weight. Seen by the median of the cameras.
    """
    eyes = np.linalg.norm(points[:, :, LEFT_EYE] - points[:, :, RIGHT_EYE], axis=-1)
    moved = np.linalg.norm(np.diff(points.mean(2), axis=0), axis=-1) / np.maximum(eyes[1:], 1e-3)
    known = np.isfinite(moved).any(1) & (np.diff(sequence) == 0)
    step = np.zeros(len(moved))
    step[known] = np.nanmedian(moved[known], axis=1)
    around = np.maximum(np.append(np.inf, step[:-1]), np.append(step[1:], np.inf))
    pace = np.maximum(np.diff(time) * 30, 1)
    return np.append(False, (step > CUT * pace) & (step > SUDDEN * around))
