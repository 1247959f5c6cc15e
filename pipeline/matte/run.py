"""Matte: one alpha a frame, `matte/alpha.h5`, and `matte/quality.json`."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar.base import cli, files
from avatar.base.cores import cores
from avatar.base.errors import UserError
from avatar.data.layout import ALPHA
from avatar.data.reader import FrameStore
from avatar.data.writer import create
from pipeline.capture.images import read_image
from pipeline.capture.model import Capture
from pipeline.capture.read import read_capture
from pipeline.common.gate import Quality
from pipeline.ingest.framing import Framing
from pipeline.matte.backends import Choice, Image, Name
from pipeline.matte.crowd import persons_of, report_removed
from pipeline.matte.given import GivenAlpha, given_alphas
from pipeline.matte.settings import MatteSettings
from pipeline.matte.workers import Matted, cut, matted

log = logging.getLogger(__name__)

# A frame with less (more) of the person than this has no person (nothing else) in it.
EMPTY, FULL = 0.01, 0.97


def matte(
    ingested: str | Path,
    out: str | Path,
    capture_path: str | Path | None = None,
    settings: MatteSettings | None = None,
) -> Quality:
    """Compute the alpha of every stored frame.

    Args:
        ingested: folder that ingest wrote.
        out: folder to write into: `results/<subject>/matte`.
        capture_path: where the clean plates are; None: there are none.
    Returns:
        The grade that is written to `quality.json`.
    Raises:
        UserError: no frames, a plate that does not fit, `plate` asked for without plates, or a
            network that is not the one named.
    """
    settings = settings or MatteSettings()
    ingested, out = Path(ingested), Path(out)
    capture = read_capture(capture_path) if capture_path is not None else None
    frames = ingested / "frames.h5"
    with FrameStore(frames) as store:
        camera_ids, tables = store.camera_ids, store.tables
    choices = _choices(settings, camera_ids, capture, ingested)
    given = _given(settings, capture, ingested)
    persons = persons_of(ingested, set(given))
    whole = Matted([], [], [], [])
    with create(out / "alpha.h5", len(tables.camera)) as writer:
        pieces = matted(cut(frames, choices, given, persons), cores())
        for blob in cli.progress(_gathered(pieces, whole), "matte", len(tables.camera)):
            writer.append(ALPHA, blob)
        writer.write_tables(tables)
    quality = grade(np.array(whole.coverage), np.array(whole.change))
    report_removed(quality, tables, persons, np.array(whole.removed))
    quality.metrics["frames_with_given_alpha"] = len(given)
    brought = {camera_ids[tables.camera[row]] for row in given}
    quality.metrics["backends"] = {
        camera: "alpha of the images" if camera in brought else choice.name
        for camera, choice in choices.items()
    }
    quality.save(out / "quality.json")
    return quality


def _given(
    settings: MatteSettings, capture: Capture | None, ingested: Path
) -> dict[int, GivenAlpha]:
    """Rows whose alpha comes with the capture; another backend than `auto` ignores it."""
    if capture is None or settings.backend != "auto":
        return {}
    return given_alphas(capture, ingested)


def _gathered(pieces: Iterator[Matted], whole: Matted) -> Iterator[bytes]:
    """The blobs of all pieces; what was measured of them is gathered in `whole`."""
    for piece in pieces:
        whole.coverage.extend(piece.coverage)
        whole.change.extend(piece.change)
        whole.removed.extend(piece.removed)
        yield from piece.blobs


def _choices(
    settings: MatteSettings, camera_ids: list[str], capture: Capture | None, ingested: Path
) -> dict[str, Choice]:
    """The backend of each camera."""
    plates = _plates(capture, ingested) if capture is not None else {}
    if settings.backend == "plate":
        for camera in camera_ids:
            if camera not in plates:
                raise UserError(
                    f"settings: matte.backend is 'plate', but camera {camera!r} has no "
                    f"plates/cam_{camera}.png: add it or choose 'auto'"
                )
    if settings.backend == "auto":
        names: dict[str, Name] = {
            camera: "plate" if camera in plates else "mediapipe" for camera in camera_ids
        }
    else:
        names = dict.fromkeys(camera_ids, settings.backend)
    model = Path(settings.model) if settings.model is not None else None
    return {
        camera: Choice(name, plates.get(camera), model, settings.model_sha256 or "")
        for camera, name in names.items()
    }


def _plates(capture: Capture, ingested: Path) -> dict[str, Image]:
    """The clean plates, framed as the stored frames are."""
    if not capture.plates:
        return {}
    entries = files.read_json(ingested / "index.json")["cameras"]
    framed = {}
    for camera, path in capture.plates.items():
        place = capture.camera_ids.index(camera)
        framing = Framing.from_json(entries[camera], capture.cameras, place)
        framed[camera] = framing.apply(read_image(path), str(path))
    return framed


def grade(coverage: Float[np.ndarray, "M"], change: Float[np.ndarray, "N"]) -> Quality:
    """Grade a matte by its coverage and flicker.

    Args:
        coverage: mean alpha of each frame, 0..1.
        change: mean absolute change of alpha from a clip's frame to its next.

    `flicker` is the mean change relative to the mean coverage: it includes the person's motion,
    so only a large value means something.
    """
    empty, full = float((coverage < EMPTY).mean()), float((coverage > FULL).mean())
    quality = Quality()
    quality.metrics = {
        "mean_coverage": coverage.mean(),
        "share_of_empty_frames": empty,
        "share_of_full_frames": full,
        "flicker": (change.mean() if len(change) else 0.0) / max(coverage.mean(), EMPTY),
    }
    if empty > 0.5:
        quality.fail(f"no person was found in {empty:.0%} of the frames")
    elif empty > 0.02:
        quality.warn(f"no person was found in {empty:.0%} of the frames")
    if full > 0.5:
        quality.warn(f"the person covers {full:.0%} of the frames entirely")
    if quality.metrics["flicker"] > 0.2:
        quality.warn("alpha changes strongly from frame to frame: check it")
    return quality
