"""Which detections are used: those that other cameras and the fit do not contradict.

What a clip itself says (leaps, other persons) `pipeline.detect.subject_face` has graded before.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from pipeline.detect.landmarks import Detections
from pipeline.track.evidence import calibration_check, side_views
from pipeline.track.report import quality
from pipeline.track.solve import initial, view_angles
from pipeline.track.solve.joint_fit import Fit
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations

WIDE = 2.0  # times the tolerance between cameras: beyond, two cameras see different things
FAR, FARTHER = 8.0, 4.0  # % of the eye distance, and times the camera's median, off the fit
SIDE = 16.0  # % of the eye distance, where a camera sees the head from the side


def by_cameras(model: LandmarkModel, observed: Observations) -> Observations:
    """Leave out detections that most of the other cameras of their timestep contradict.

    Of two cameras that contradict each other neither is known to be wrong: both stay.
    """
    if observed.seen.shape[1] < 3:
        return observed
    poses = initial.poses_by_camera(model, observed)
    poses = side_views.near_front(poses, side_views.NEAR_FRONT)
    apart = calibration_check.misses(poses, observed.Ks, observed.viewmats)
    apart = np.fmin(apart, apart.swapaxes(1, 2))
    apart[:, np.arange(apart.shape[1]), np.arange(apart.shape[1])] = np.nan
    against, known = (apart > WIDE).sum(2), np.isfinite(apart).sum(2)
    return replace(observed, seen=observed.seen & ~((known >= 2) & (2 * against > known)))


def by_fit(fit: Fit) -> Bool[np.ndarray, "N C"]:
    """Detections of the solved timesteps that a solved fit contradicts.

    A face that is mirrored, another's, slipped or not there fits the rig worse than the rest of
    its camera's, by far. Detections from the side are worse, and rejected only where a camera
    that sees the front at the same time supports the fit.
    """
    problem, state = fit.problem, fit.state
    off = 100 * quality.reprojection(problem, state) / quality.eye_distance(problem, state)
    median = np.nanmedian(np.where(np.isfinite(off).any(0), off, 0), axis=0)
    near = view_angles.near_front(problem, state)
    wrong = near & (off > np.maximum(FAR, FARTHER * median))
    supported = (near & np.isfinite(off) & ~wrong).any(1, keepdims=True)
    # The camera's median is no measure there: all its detections may have slipped.
    usual = np.median(off[near & np.isfinite(off)]) if supported.any() else 0.0
    return wrong | (supported & ~near & (off > max(SIDE, FARTHER * usual)))


def mark(
    found: Detections, observed: Observations, timestep: np.ndarray, camera: np.ndarray
) -> Detections:
    """The detections with those that are no longer observed marked as rejected.

    Args:
        timestep, camera: of every row of `found`.
    """
    return replace(found, found=found.found & observed.seen[timestep, camera])
