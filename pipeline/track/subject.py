"""Track one subject, from its ingested frames to its files."""

import logging
from contextlib import ExitStack
from pathlib import Path

from avatar.cameras import Cameras
from avatar.dataset import AlphaStore, FrameStore
from avatar.errors import UserError
from avatar.rig import HeadRig, RigParams
from pipeline import landmarks
from pipeline.landmarks import Detections
from pipeline.quality import Quality
from pipeline.track import fit, observe, overlay, quality, ready
from pipeline.track.ready import measured
from pipeline.track.settings import TrackSettings

log = logging.getLogger(__name__)


def track_subject(
    home: str | Path,
    rig_path: str | Path,
    settings: TrackSettings | None = None,
    capture: str | Path | None = None,
) -> Quality:
    """Track one subject and write `track/{params.npz,cameras.json,overlay.mp4,quality.json}`.

    Args:
        home: `results/<subject>`, with `ingest/` and perhaps `matte/`.
        rig_path: a rig's npz with its landmark embedding.
        capture: of the subject; a track that it brings is used instead of a fit.
    Returns:
        What `quality.json` says; a bad track is no exception.
    Raises:
        UserError: no face in any frame, several cameras without calibration, a rig without
            landmarks, damaged files, or a ready track that does not fit rig or capture.
    """
    home, settings = Path(home), settings or TrackSettings()
    rig = HeadRig.load(rig_path)
    if rig.landmarks is None:
        raise UserError(f"{rig_path} has no landmark embedding: bake the rig again")
    remarks: list[str] = []
    chosen = ready.choose(settings.ready, home.name, capture, rig, remarks)
    with ExitStack() as opened:
        store = opened.enter_context(FrameStore(home / "ingest" / "frames.h5"))
        matte = home / "matte" / "alpha.h5"
        alphas = opened.enter_context(AlphaStore(matte)) if matte.is_file() else None
        given, known = observe.cameras(home / "ingest", store, settings.focal)
        taken = ready.read(chosen, home, store, rig, given, known) if chosen else None
        found = landmarks.detect_store(store.path, settings.workers)
        log.info("track: a face in %d of %d frames", found.found.sum(), len(store))
        if taken is None:
            params, cameras, judged = _fitted(settings, rig, store, found, given, known, alphas)
        else:
            log.info("track: %s", taken.source)
            params, cameras = taken.params, taken.cameras
            judged = measured.judge(settings, rig, taken, store, found, alphas)
        judged.messages += remarks
        out = home / "track"
        params.save(out / "params.npz")
        cameras.save(out / "cameras.json")
        overlay.write_overlay(
            out / "overlay.mp4", store, found, rig, params, cameras, settings.overlay
        )
        judged.save(out / "quality.json")
    return judged


def _fitted(
    settings: TrackSettings,
    rig: HeadRig,
    store: FrameStore,
    found: Detections,
    given: Cameras,
    known: bool,
    alphas: AlphaStore | None,
) -> tuple[RigParams, Cameras, Quality]:
    """The fit to detected landmarks, outlines and colours, and how good it is."""
    if not found.found.any():
        raise UserError(
            f"{store.path}: no face in any of {len(store)} frames: the head must be in view, "
            "upright and not much smaller than the frame"
        )
    model = fit.landmark_model(rig)
    observed = observe.observations(store, given, found, model.ids)
    track = fit.by_landmarks(rig, model, observed, known, settings.priors)
    overlaps: dict[str, float] = {}
    if alphas is not None:
        track = fit.by_outlines(track, store, given, alphas, known)
    if settings.photometric:
        track = fit.by_colours(track, store)
    if alphas is not None:
        track, overlaps = fit.with_offsets(track, store, given, alphas)
    judged = quality.judge(
        settings.gate, track.problem, track.state, track.valid, store, found, overlaps
    )
    if not track.static_offset.any():
        judged.messages.append("static offsets are zero: no matte, or no gain by them")
    return track.params(store), track.cameras(given), judged
