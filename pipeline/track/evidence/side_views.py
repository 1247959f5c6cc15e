"""Which detections can tell something of a calibration: those near the head's front.

From the side, a head is often detected as if it were turned to the camera.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from pipeline.track.solve.initial import Poses

NEAR_FRONT = 50.0  # degrees; farther round, a camera's own pose is a guess
FRONTAL = 35.0  # degrees; a side view is seldom mistaken for one as frontal as this


def near_front(poses: Poses, degrees: float) -> Poses:
    """Only the poses whose face looks towards the camera within so many degrees."""
    return replace(poses, found=poses.found & (_view_angles(poses) < degrees))


def frontal(poses: Poses) -> Bool[np.ndarray, "C"]:
    """Cameras whose own poses are mostly frontal."""
    found = poses.found.any(0)
    angles = np.where(poses.found, _view_angles(poses), np.nan)[:, found]
    result = np.zeros(len(found), bool)
    result[found] = np.nanmedian(angles, axis=0) < FRONTAL
    return result


def reliable(
    poses: Poses, certain: Bool[np.ndarray, "C"], viewmats: Float[np.ndarray, "C 4 4"]
) -> Poses:
    """Only what can tell a wrong calibration from a side view that the detector mistakes.

    A detection counts where the other cameras, too, place this camera near the head's front. That
    depends on the camera's position only, so one that is turned is still measured; one that is
    displaced so far that it seems to be at the side is measured where it is `certain`.

    Args:
        certain: cameras whose own poses are frontal.
        viewmats: in the unit in which the head is as large as the mean one.
    """
    kept = (_view_angles_by_others(poses, viewmats) < NEAR_FRONT) | certain
    points = np.where(kept[..., None, None], poses.points, np.nan)
    return replace(poses, points=points, found=poses.found & kept)


def _view_angles(poses: Poses) -> Float[np.ndarray, "T C"]:
    """Degrees between where each camera's own head looks and the camera."""
    away = np.maximum(np.linalg.norm(poses.place, axis=-1), 1e-9)
    towards = -(poses.turn[..., 2] * poses.place).sum(-1) / away
    return np.degrees(np.arccos(np.clip(towards, -1, 1)))


def _view_angles_by_others(
    poses: Poses, viewmats: Float[np.ndarray, "C 4 4"]
) -> Float[np.ndarray, "T C"]:
    """Degrees off the front at which a camera sees the head, the median of what others say."""
    turn, place = poses.in_world(viewmats)
    centres = -np.einsum("cij,ci->cj", viewmats[:, :3, :3], viewmats[:, :3, 3])
    sight = centres - place[:, :, None]
    sight /= np.maximum(np.linalg.norm(sight, axis=-1, keepdims=True), 1e-9)
    angle = np.degrees(np.arccos(np.clip(np.einsum("tpi,tpci->tpc", turn[..., 2], sight), -1, 1)))
    angle[~poses.found] = np.nan
    angle[:, np.arange(len(viewmats)), np.arange(len(viewmats))] = np.nan
    known = np.isfinite(angle).any(1)
    result = np.full(known.shape, np.nan)
    result[known] = np.nanmedian(angle.swapaxes(1, 2)[known], axis=-1)
    return result
