"""The whole fit of one subject: from detections to a graded track."""

import logging
from dataclasses import dataclass

import numpy as np

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import HeadRig, RigParams
from pipeline.common.gate import Quality
from pipeline.detect import blendshapes
from pipeline.detect.landmarks import Detections
from pipeline.track.evidence import (
    calibration_check,
    intrinsics_check,
    observe,
    outliers,
    score_prior,
)
from pipeline.track.photometric import occlusion
from pipeline.track.report import quality
from pipeline.track.report.quality import Measures
from pipeline.track.settings import TrackSettings
from pipeline.track.solve import joint_fit
from pipeline.track.solve.held_out import WORDS, HeldOut
from pipeline.track.solve.joint_fit import Fit
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.priors import PosePrior

STRETCHES = 8  # named at most, the longest ones

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracked:
    """A track, and how good it is.

    Attributes:
        cameras: as solved; found: the detections, outliers marked.
        measures: over time; quality: for `quality.json`.
    """

    params: RigParams
    cameras: Cameras
    found: Detections
    measures: Measures
    quality: Quality


def fitted(
    settings: TrackSettings,
    rig: HeadRig,
    store: FrameStore,
    found: Detections,
    given: Cameras,
    known: bool,
    alphas: AlphaStore | None,
) -> Tracked:
    """Fit landmarks, outlines and colours.

    Args:
        given, known: the cameras, and whether they are calibrated.
        alphas: the matte, where there is one.
    Raises:
        UserError: no face in any frame, a lying head, or a mistaken calibration.
    """
    if not found.found.any():
        raise UserError(
            f"{store.path}: no face in any of {len(store)} frames: the head must be in view, "
            "upright and not much smaller than the frame"
        )
    model = joint_fit.landmark_model(rig)
    held = HeldOut.by(settings.hold_out, store, found.found)
    found = held.unseen(found, store.camera)
    observed = observe.observations(store, given, found, model.ids)
    observed, warnings = _checked(model, observed, known, store)
    prior = _score_prior(rig, store, found, settings)
    track = _by_landmarks(settings, rig, model, observed, known, prior, held)
    if settings.photometric:
        covered = joint_fit.covered(track, store)
        if covered.any():
            observed = occlusion.without(observed, track.valid, covered)
            warnings += _covered_stretches(observed, store)
            track = joint_fit.by_landmarks(
                rig, model, observed, known, settings.priors, prior, held
            )
    found = outliers.mark(found, observed, store.timestep, store.camera)
    overlaps: dict[str, float] = {}
    if alphas is not None:
        track = joint_fit.by_outlines(track, store, given, alphas, known)
    if settings.photometric:
        track = joint_fit.by_colours(track, store)
    if alphas is not None:
        track, overlaps = joint_fit.with_offsets(track, store, given, alphas)
    measures = quality.measure(track.problem, track.state, track.valid, store, found)
    graded = quality.grade(settings.gate, measures, store, rig.expr_names, track.state, overlaps)
    graded.metrics |= {"hold_out": settings.hold_out, "fitted_to": WORDS[settings.hold_out]}
    for warning in warnings:
        graded.warn(warning)
    graded.messages += _rejected_cameras(measures, store.camera_ids, warnings)
    if not track.static_offset.any():
        graded.messages.append("static offsets are zero: no matte, or no gain by them")
    return Tracked(track.params(store), track.cameras(given), found, measures, graded)


def _by_landmarks(
    settings: TrackSettings,
    rig: HeadRig,
    model: LandmarkModel,
    observed: Observations,
    known: bool,
    pose_prior: PosePrior | None,
    held: HeldOut,
) -> Fit:
    """Solve, and once more without the detections that the solution contradicts.

    They are taken out of `observed`.
    """
    track = joint_fit.by_landmarks(rig, model, observed, known, settings.priors, pose_prior, held)
    rejected = outliers.by_fit(track)
    if not rejected.any():
        return track
    log.info("track: %d detections do not fit: solved without them", rejected.sum())
    observed.seen[track.valid] &= ~rejected
    return joint_fit.by_landmarks(rig, model, observed, known, settings.priors, pose_prior, held)


def _checked(
    model: LandmarkModel, observed: Observations, known: bool, store: FrameStore
) -> tuple[Observations, list[str]]:
    """Without what the cameras contradict, and warnings.

    Raises:
        UserError: a mistake in the calibration, or a camera that lies on its side.
    """
    names = store.camera_ids
    if not known:
        calibration_check.check_single(model, observed, names[0])
        return observed, []
    origin = observe.origins(store.path.with_name("index.json"), names)
    warnings = intrinsics_check.check(model, observed, names, origin)
    odd = calibration_check.check_rig(model, observed, names)
    warnings += [
        f"camera {names[camera]} disagrees with the others about where the head is: look for "
        "its calibration or its video"
        for camera in odd
    ]
    if len(odd) < observed.seen.any(0).sum():
        observed.seen[:, odd] = False
    return outliers.by_cameras(model, observed), warnings


def _rejected_cameras(measures: Measures, names: list[str], warnings: list[str]) -> list[str]:
    """A remark on each camera most of whose detections are rejected, without a warning as yet."""
    rejected, used = measures.outliers.sum(0), measures.found.sum(0)
    return [
        f"camera {names[camera]}: {rejected[camera]} of {rejected[camera] + used[camera]} detected "
        "faces contradict the other cameras: it sees the head from too far round for the detector, "
        "or its calibration is mistaken"
        for camera in np.flatnonzero(rejected > used)
        if not any(warning.startswith(f"camera {names[camera]} ") for warning in warnings)
    ]


def _covered_stretches(observed: Observations, store: FrameStore) -> list[str]:
    """A warning for each stretch in which something covers a part of the face."""
    assert observed.covered is not None
    found = occlusion.stretches(observed.covered, np.unique(store.sequence, return_inverse=True)[1])
    found.sort(key=lambda stretch: stretch[1] - stretch[2])
    return [
        f"camera {store.camera_ids[camera]}, {store.sequence[first]} {store.index[first]} to "
        f"{store.index[last]}: something covers "
        f"{observed.covered[first : last + 1, camera].mean():.0%} of the face's landmarks: they "
        "are rejected as outliers, the head's pose is uncertain there"
        for camera, first, last in found[:STRETCHES]
    ]


def _score_prior(
    rig: HeadRig, store: FrameStore, found: Detections, settings: TrackSettings
) -> PosePrior | None:
    """What the user's blendshape model says, if there is one and the rig has ARKit's actions."""
    if settings.task_model is None:
        return None
    scores = blendshapes.score_store(store, found, settings.task_model, settings.task_model_sha256)
    return score_prior.pose_prior(rig, *blendshapes.per_timestep(store, scores))
