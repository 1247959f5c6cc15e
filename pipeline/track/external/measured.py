"""An external track as the tracker's own problem and state, so that the same gate grades both."""

import copy

import numpy as np

from avatar.base.errors import UserError
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import HeadRig
from pipeline.detect.landmarks import Detections
from pipeline.track.estimate import Tracked
from pipeline.track.evidence import observe
from pipeline.track.external import ExternalTrack
from pipeline.track.outline import overlap, silhouette
from pipeline.track.report import quality
from pipeline.track.settings import TrackSettings
from pipeline.track.solve import joint_fit, stages, timeline
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State


def grade(
    settings: TrackSettings,
    rig: HeadRig,
    track: ExternalTrack,
    store: FrameStore,
    found: Detections,
    alphas: AlphaStore | None,
) -> Tracked:
    """Measure an external track against detected landmarks and, with a matte, its outline.

    Raises:
        UserError: the head is not in the frames: other cameras, another unit, another capture.
    """
    problem, state = as_problem(settings, rig, track, store, found)
    _check_in_view(problem, state, track, store)
    overlaps: dict[str, float] = {}
    if alphas is not None:
        rows = silhouette.choose_rows(alphas, track.params.valid)[::2]
        overlaps = overlap.measure(rig, track.params, track.cameras, alphas, rows).metrics()
    measures = quality.measure(problem, state, track.params.valid, store, found)
    graded = quality.grade(
        settings.gate, measures, store, rig.expr_names, state, overlaps, external=True
    )
    graded.metrics |= {"source": track.source, "rig_source_sha256": rig.source_sha256 or None}
    graded.messages += track.remarks
    if not found.found.any():
        graded.warn(f"no face in any of {len(store)} frames: the track could not be checked")
    return Tracked(track.params, track.cameras, found, measures, graded)


def as_problem(
    settings: TrackSettings,
    rig: HeadRig,
    track: ExternalTrack,
    store: FrameStore,
    found: Detections,
) -> tuple[Problem, State]:
    """What the solver would have been given, and where the external track is in it."""
    shaped = copy.deepcopy(rig)
    shaped.v_template = rig.v_template + track.params.static_offset
    model = joint_fit.landmark_model(shaped)
    observed = observe.observations(store, track.cameras, found, model.ids)
    solved = np.flatnonzero(track.params.valid)
    problem = Problem(
        model, observed.at(solved), settings.priors, stages.bounds(rig), stages.blinks(rig),
        stages.ease(rig),
    )  # fmt: skip
    state = timeline.solver_state(model, track.params, len(track.cameras)).at(solved)
    problem.reweight(state)
    return problem, state


def _check_in_view(problem: Problem, state: State, track: ExternalTrack, store: FrameStore) -> None:
    """The middle of the face must lie in some camera's frame, most of the time."""
    points = problem.in_cameras(state)
    pixel = problem.project(state, points).mean(2)
    inside = (points[..., 2] > 0).all(2) & ((pixel > 0) & (pixel < store.sizes)).all(-1)
    share = float(inside.any(1).mean())
    if share < 0.5:
        raise UserError(
            f"{track.source}: the head is in some frame at {share:.0%} of the timesteps only: are "
            "they of this capture and its cameras, in metres?"
        )
