"""Track one subject, from its ingested frames to its files."""

import logging
from pathlib import Path

from avatar.dataset import AlphaStore, FrameStore
from avatar.errors import UserError
from avatar.rig import HeadRig
from pipeline import blendshapes, landmarks
from pipeline.landmarks import Detections
from pipeline.quality import Quality
from pipeline.track import (
    calibration_check,
    fit,
    observe,
    overlay,
    quality,
    quality_plot,
    score_prior,
    trust,
)
from pipeline.track.model import LandmarkModel
from pipeline.track.problem import Belief, Observations
from pipeline.track.settings import TrackSettings

log = logging.getLogger(__name__)


def track_subject(
    home: str | Path, rig_path: str | Path, settings: TrackSettings | None = None
) -> Quality:
    """Track one subject: write `params.npz`, `cameras.json`, `overlay.mp4`, `quality.{json,png}`.

    Args:
        home: `results/<subject>`, with `ingest/` and perhaps `matte/`.
        rig_path: a rig's npz with its landmark embedding.
    Returns:
        What `quality.json` says; a bad track is no exception.
    Raises:
        UserError: no face in any frame, a lying head, several cameras without calibration or
            with a mistaken one, a rig without landmarks, a wrong `.task` file, damaged files.
    """
    home, settings = Path(home), settings or TrackSettings()
    rig = HeadRig.load(rig_path)
    if rig.landmarks is None:
        raise UserError(f"{rig_path} has no landmark embedding: bake the rig again")
    model = fit.landmark_model(rig)
    with FrameStore(home / "ingest" / "frames.h5") as store:
        given, known = observe.cameras(home / "ingest", store, settings.focal)
        if settings.task_model is not None:
            blendshapes.read_model(settings.task_model, settings.task_model_sha256)
        found = landmarks.detect_store(store.path, settings.workers)
        log.info("track: a face in %d of %d frames", found.found.sum(), len(store))
        if not found.found.any():
            raise UserError(
                f"{store.path}: no face in any of {len(store)} frames: the head must be in view, "
                "upright and not much smaller than the frame"
            )
        observed = observe.observations(store, given, found, model.ids)
        observed, remarks = _believed(model, observed, known, store.camera_ids)
        belief = _belief(rig, store, found, settings)
        track = fit.by_landmarks(rig, model, observed, known, settings.priors, belief)
        doubted = trust.by_fit(track)
        if doubted.any():
            log.info("track: %d detections do not fit: solved without them", doubted.sum())
            observed.seen[track.valid] &= ~doubted
            track = fit.by_landmarks(rig, model, observed, known, settings.priors, belief)
        found = trust.mark(found, observed, store.timestep, store.camera)
        matte = home / "matte" / "alpha.h5"
        overlaps: dict[str, float] = {}
        if matte.is_file():
            with AlphaStore(matte) as alphas:
                track, overlaps = fit.by_outlines(track, store, given, alphas, known)
        measures = quality.measure(track.problem, track.state, track.valid, store, found)
        judged = quality.judge(
            settings.gate, measures, store, rig.expr_names, track.state, overlaps
        )
        for remark in remarks:
            judged.warn(remark)
        if not track.static_offset.any():
            judged.messages.append("static offsets are zero: no matte, or no gain by them")
        params, cameras = track.params(store), track.cameras(given)
        out = home / "track"
        params.save(out / "params.npz")
        cameras.save(out / "cameras.json")
        quality_plot.write_plot(
            out / "quality.png", measures, store, list(rig.expr_names), settings.gate
        )
        overlay.write_overlay(
            out / "overlay.mp4", store, found, rig, params, cameras, settings.overlay
        )
        judged.save(out / "quality.json")
    return judged


def _believed(
    model: LandmarkModel, observed: Observations, known: bool, names: list[str]
) -> tuple[Observations, list[str]]:
    """Without what the cameras contradict, and what is to be said about it.

    Raises:
        UserError: a mistake in the calibration, or a camera that lies on its side.
    """
    if not known:
        calibration_check.check_single(model, observed, names[0])
        return observed, []
    odd = calibration_check.check_rig(model, observed, names)
    remarks = [
        f"camera {names[camera]} disagrees with the others about where the head is: look for "
        "its calibration or its video"
        for camera in odd
    ]
    if len(odd) < observed.seen.any(0).sum():
        observed.seen[:, odd] = False
    return trust.by_cameras(model, observed), remarks


def _belief(
    rig: HeadRig, store: FrameStore, found: Detections, settings: TrackSettings
) -> Belief | None:
    """What the user's blendshape model says, if there is one and the rig has ARKit's actions."""
    if settings.task_model is None:
        return None
    scores = blendshapes.score_store(store, found, settings.task_model, settings.task_model_sha256)
    return score_prior.belief(rig, *blendshapes.per_timestep(store, scores))
