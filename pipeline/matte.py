"""Matte: one alpha a frame, `matte/alpha.h5`, and `matte/quality.json`."""

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import ConfigDict

from avatar import cli, files
from avatar.dataset import ALPHA, AlphaStore, FrameStore, create, encode_alpha
from avatar.errors import UserError
from pipeline.capture import Capture, read_capture, read_image
from pipeline.framing import Framing
from pipeline.matting import Backend
from pipeline.matting.plate import PlateMatting
from pipeline.matting.segmentation import segmentation
from pipeline.quality import Quality

log = logging.getLogger(__name__)

# A frame with less (more) of the person than this has no person (nothing else) in it.
EMPTY, FULL = 0.01, 0.97


@dataclass
class MatteSettings:
    """What a user may set about the matte.

    Attributes:
        backend: `mediapipe` needs nothing, `plate` needs plates/cam_<id>.png of every camera,
            `auto` takes the plate of a camera where there is one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    backend: Literal["auto", "mediapipe", "plate"] = "auto"


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
        What `quality.json` says.
    Raises:
        UserError: no frames, a plate that does not fit, or `plate` asked for without plates.
    """
    settings = settings or MatteSettings()
    ingested, out = Path(ingested), Path(out)
    capture = read_capture(capture_path) if capture_path is not None else None
    cv2.setNumThreads(1)
    with FrameStore(ingested / "frames.h5") as frames, create(out / "alpha.h5") as writer:
        backends = _backends(settings, frames.camera_ids, capture, ingested)
        alphas = _alphas(frames, backends)
        for alpha in cli.progress(alphas, "matte", len(frames)):
            writer.append(ALPHA, encode_alpha(alpha))
        writer.write_tables(frames.tables)
    quality = judge(out / "alpha.h5")
    quality.metrics["backends"] = {
        camera: "plate" if isinstance(backend, PlateMatting) else "mediapipe"
        for camera, backend in backends.items()
    }
    quality.save(out / "quality.json")
    return quality


def clips(store: FrameStore | AlphaStore) -> list[list[int]]:
    """The rows of each (sequence, camera), in order; rows of a clip are consecutive."""

    def clip(row: int) -> tuple[str, int]:
        return str(store.sequence[store.timestep[row]]), int(store.camera[row])

    return [list(rows) for _, rows in groupby(range(len(store)), clip)]


def _alphas(frames: FrameStore, backends: dict[str, Backend]) -> Iterator[UInt8[np.ndarray, "H W"]]:
    for rows in clips(frames):
        backend = backends[frames.camera_ids[frames.camera[rows[0]]]]
        yield from backend(frames.image(row) for row in rows)


def _backends(
    settings: MatteSettings, camera_ids: list[str], capture: Capture | None, ingested: Path
) -> dict[str, Backend]:
    plates = capture.plates if capture is not None else {}
    if settings.backend == "plate":
        for camera in camera_ids:
            if camera not in plates:
                raise UserError(
                    f"settings: matte.backend is 'plate', but camera {camera!r} has no "
                    f"plates/cam_{camera}.png: add it or choose 'auto'"
                )
    backends: dict[str, Backend] = dict.fromkeys(camera_ids, segmentation)
    if capture is not None and settings.backend != "mediapipe":
        entries = files.read_json(ingested / "index.json")["cameras"]
        for camera, path in plates.items():
            place = capture.camera_ids.index(camera)
            framing = Framing.from_json(entries[camera], capture.cameras, place)
            backends[camera] = PlateMatting(framing.apply(read_image(path), str(path)))
    return backends


def judge(path: Path) -> Quality:
    """Coverage and flicker of the alphas in a file.

    `flicker` is the mean change of alpha from frame to frame relative to the mean coverage: it
    holds the person's motion too, so only a large value means something.
    """
    coverage, flicker = [], []
    with AlphaStore(path) as store:
        for rows in clips(store):
            before = None
            for row in rows:
                # A quarter of the size says as much, in a fraction of the time.
                alpha = store.alpha(row)[::4, ::4].astype(np.float32) / 255
                coverage.append(float(alpha.mean()))
                if before is not None:
                    flicker.append(float(abs(alpha - before).mean()))
                before = alpha
    shares = np.array(coverage)
    quality = Quality()
    quality.metrics = {
        "mean_coverage": shares.mean(),
        "share_of_empty_frames": (shares < EMPTY).mean(),
        "share_of_full_frames": (shares > FULL).mean(),
        "flicker": np.mean(flicker or [0.0]) / max(shares.mean(), EMPTY),
    }
    empty, full = ((shares < EMPTY).mean(), (shares > FULL).mean())
    if empty > 0.5:
        quality.fail(f"no person was found in {empty:.0%} of the frames")
    elif empty > 0.02:
        quality.warn(f"no person was found in {empty:.0%} of the frames")
    if full > 0.5:
        quality.warn(f"the person covers {full:.0%} of the frames entirely")
    if quality.metrics["flicker"] > 0.2:
        quality.warn("alpha changes strongly from frame to frame: look at it")
    return quality


def main(argv: list[str] | None = None) -> int:
    """Run the matte for one subject."""
    parser = cli.stage_parser(__doc__)
    parser.add_argument("--capture", type=Path, help="capture, for its clean plates")
    args = parser.parse_args(argv)
    home = args.results / args.subject
    return cli.run_stage(
        "matte",
        args,
        lambda: matte(
            home / "ingest",
            home / "matte",
            args.capture,
            cli.read_settings(MatteSettings, args.settings),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
