"""Track one subject, from its ingested frames to its files."""

import logging
from pathlib import Path

from avatar.dataset import AlphaStore, FrameStore
from avatar.errors import UserError
from avatar.rig import HeadRig
from pipeline import landmarks
from pipeline.quality import Quality
from pipeline.track import fit, observe, overlay, quality
from pipeline.track.settings import TrackSettings

log = logging.getLogger(__name__)


def track_subject(
    home: str | Path, rig_path: str | Path, settings: TrackSettings | None = None
) -> Quality:
    """Track one subject and write `track/{params.npz,cameras.json,overlay.mp4,quality.json}`.

    Args:
        home: `results/<subject>`, with `ingest/` and perhaps `matte/`.
        rig_path: a rig's npz with its landmark embedding.
    Returns:
        What `quality.json` says; a bad track is no exception.
    Raises:
        UserError: no face in any frame, several cameras without calibration, a rig without
            landmarks, or damaged files.
    """
    home, settings = Path(home), settings or TrackSettings()
    rig = HeadRig.load(rig_path)
    if rig.landmarks is None:
        raise UserError(f"{rig_path} has no landmark embedding: bake the rig again")
    model = fit.landmark_model(rig)
    with FrameStore(home / "ingest" / "frames.h5") as store:
        given, known = observe.cameras(home / "ingest", store, settings.focal)
        found = landmarks.detect_store(store.path, settings.workers)
        log.info("track: a face in %d of %d frames", found.found.sum(), len(store))
        if not found.found.any():
            raise UserError(
                f"{store.path}: no face in any of {len(store)} frames: the head must be in view, "
                "upright and not much smaller than the frame"
            )
        observed = observe.observations(store, given, found, model.ids)
        track = fit.by_landmarks(rig, model, observed, known, settings.priors)
        matte = home / "matte" / "alpha.h5"
        overlaps: dict[str, float] = {}
        if matte.is_file():
            with AlphaStore(matte) as alphas:
                track = fit.by_outlines(track, store, given, alphas, known)
        if settings.photometric:
            track = fit.by_colours(track, store)
        if matte.is_file():
            with AlphaStore(matte) as alphas:
                track, overlaps = fit.with_offsets(track, store, given, alphas)
        judged = quality.judge(
            settings.gate, track.problem, track.state, track.valid, store, found, overlaps
        )
        if not track.static_offset.any():
            judged.messages.append("static offsets are zero: no matte, or no gain by them")
        params, cameras = track.params(store), track.cameras(given)
        out = home / "track"
        params.save(out / "params.npz")
        cameras.save(out / "cameras.json")
        overlay.write_overlay(
            out / "overlay.mp4", store, found, rig, params, cameras, settings.overlay
        )
        judged.save(out / "quality.json")
    return judged
