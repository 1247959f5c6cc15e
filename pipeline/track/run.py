"""Track one subject, from its ingested frames to its files."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from avatar.base.cores import cores
from avatar.base.errors import UserError
from avatar.data.reader import AlphaStore, FrameStore
from pipeline.common.gate import Quality
from pipeline.detect import processes
from pipeline.track.settings import TrackSettings

log = logging.getLogger(__name__)


def track_subject(
    home: str | Path,
    rig_path: str | Path,
    settings: TrackSettings | None = None,
    capture: str | Path | None = None,
) -> Quality:
    """Track one subject: write `params.npz`, `cameras.json`, `overlay.mp4`, `quality.{json,png}`.

    Args:
        home: `results/<subject>`, with `ingest/` and perhaps `matte/`.
        rig_path: a rig's npz with its landmark embedding.
        capture: of the subject; a track that it brings is used instead of a fit.
    Returns:
        What `quality.json` says; a bad track is no exception.
    Raises:
        UserError: no face in any frame, a lying head, several cameras without calibration or
            with a mistaken one, a rig without landmarks, a wrong `.task` file, damaged files, or
            an external track that does not fit rig or capture.
    """
    home, settings = Path(home), settings or TrackSettings()
    with ExitStack() as opened:
        store = opened.enter_context(FrameStore(home / "ingest" / "frames.h5"))
        detections = opened.enter_context(processes.detecting(store.path, cores()))
        # Torch and Numba take seconds to load: they load while the detectors work.
        import torch

        from avatar.rig import HeadRig
        from pipeline.detect import blendshapes
        from pipeline.track import estimate, external
        from pipeline.track.evidence import observe
        from pipeline.track.external import measured
        from pipeline.track.report import overlay, quality_plot

        # Two threads of ours call torch side by side (`threaded`). With a thread pool of torch's
        # for each, one run was seen to spin without end.
        torch.set_num_threads(1)
        rig = HeadRig.load(rig_path)
        if rig.landmarks is None:
            raise UserError(f"{rig_path} has no landmark embedding: bake the rig again")
        if settings.task_model is not None:
            blendshapes.read_model(settings.task_model, settings.task_model_sha256)
        remarks: list[str] = []
        chosen = external.choose(settings.external, home.name, capture, rig, remarks)
        matte = home / "matte" / "alpha.h5"
        alphas = opened.enter_context(AlphaStore(matte)) if matte.is_file() else None
        given, known = observe.cameras(home / "ingest", store, settings.focal)
        taken = external.read(chosen, home, store, rig, given, known) if chosen else None
        found = detections()
        log.info("track: a face in %d of %d frames", found.found.sum(), len(store))
        if taken is None:
            tracked = estimate.fitted(settings, rig, store, found, given, known, alphas)
        else:
            log.info("track: %s", taken.source)
            tracked = measured.grade(settings, rig, taken, store, found, alphas)
        tracked.quality.messages += remarks
        out = home / "track"
        tracked.params.save(out / "params.npz")
        tracked.cameras.save(out / "cameras.json")
        with ThreadPoolExecutor(1) as beside:
            plot = beside.submit(
                quality_plot.write_plot,
                out / "quality.png", tracked.measures, store, list(rig.expr_names), settings.gate,
            )  # fmt: skip
            overlay.write_overlay(
                out / "overlay.mp4", store, tracked.found, rig, tracked.params, tracked.cameras,
                settings.overlay,
            )  # fmt: skip
            plot.result()
        tracked.quality.save(out / "quality.json")
    return tracked.quality
