"""Pack: frames, alphas, cameras and rig parameters into one checked file, `dataset.h5`.

Images and alphas are copied byte for byte; region maps are drawn here, where the tracked rig is.
A failed tracking stops here, so that a failed subject keeps its overlay and numbers.
"""

import json
import logging
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avatar.base import cli, files
from avatar.base.errors import UserError
from avatar.data import png
from avatar.data.cameras import Cameras
from avatar.data.layout import ALPHA, IMAGE, REGION, SPLITS
from avatar.data.reader import AlphaStore, FrameStore
from avatar.data.writer import create
from avatar.rig import HeadRig, RigParams
from pipeline.common.gate import Quality
from pipeline.pack.regions import RegionMaps
from pipeline.pack.settings import PackSettings
from pipeline.pack.split import split_rows

log = logging.getLogger(__name__)

_TIMESTEPS = ("sequence", "index", "time", "valid")
_ATTRIBUTES = ("rig", "rig_sha256")


def pack(home: str | Path, rig_path: str | Path, settings: PackSettings | None = None) -> None:
    """Write `dataset.h5` of one subject.

    Args:
        home: `results/<subject>`, with `ingest`, `matte` and `track` done.
        rig_path: the baked rig that the tracker used.
    Raises:
        UserError: tracking failed its gate, or stages do not fit each other; the message tells
            which file disagrees with which and what to run again.
    """
    settings = settings or PackSettings()
    home = Path(home)
    check_gate(home / "track", settings.gate)
    rig = HeadRig.load(rig_path)
    params = RigParams.load(home / "track/params.npz", _again(home))
    cameras = Cameras.load(home / "track/cameras.json")
    with (
        FrameStore(home / "ingest/frames.h5") as frames,
        AlphaStore(home / "matte/alpha.h5") as alphas,
    ):
        _check(home, rig, params, cameras, frames, alphas)
        regions = RegionMaps(rig, params, cameras)
        split = split_rows(frames.tables, params.valid, settings.split)
        with create(home / "dataset.h5", len(frames)) as writer:
            for row in cli.progress(range(len(frames)), "pack"):
                alpha = alphas.blob(ALPHA, row)
                region = regions(
                    int(frames.timestep[row]), int(frames.camera[row]), alphas.alpha(row)
                )
                writer.append(IMAGE, frames.blob(IMAGE, row).tobytes())
                writer.append(ALPHA, alpha.tobytes())
                writer.append(REGION, png.encode(region))
            writer.write_tables(frames.tables)
            writer.write_arrays("cameras", {"K": cameras.Ks, "viewmat": cameras.viewmats})
            writer.write_arrays("timesteps", {"valid": params.valid})
            writer.write_arrays("frames", {"split": split})
            writer.write_arrays("rig", _rig_arrays(params))
            writer.write_attributes(_attributes(home, params, settings))
    counts = ", ".join(f"{name} {int((split == k).sum())}" for k, name in enumerate(SPLITS))
    log.info("%s: frames: %s", home / "dataset.h5", counts)


def check_gate(track: Path, gate: Literal["strict", "warn"]) -> None:
    """Refuse a subject whose tracking failed.

    Raises:
        UserError: the gate is strict and `track/quality.json` is `fail`; gives its reasons.
    """
    quality = Quality.load(track / "quality.json")
    if gate == "strict" and quality.status == "fail":
        reasons = "; ".join(quality.messages) or "no reason given"
        raise UserError(
            f"tracking failed: {reasons} (see {track}/overlay.mp4; to train all the same set "
            "pack.gate to warn; limits changed in track.gate apply after 'snakemake "
            f"{track.parent.name} --forcerun track')"
        )


def _again(home: Path) -> str:
    return f"re-run 'snakemake {home.name} --forcerun track'"


def _check(
    home: Path,
    rig: HeadRig,
    params: RigParams,
    cameras: Cameras,
    frames: FrameStore,
    alphas: AlphaStore,
) -> None:
    """Check that all stages have the same frames, cameras and rig."""
    subject = home.name
    for name, value in vars(frames.tables).items():
        if not np.array_equal(value, getattr(alphas.tables, name)):
            raise UserError(
                f"{alphas.path} has other frames than {frames.path} ({name} differs): "
                f"re-run 'snakemake {subject} --forcerun matte'"
            )
    again = _again(home)
    path = home / "track/params.npz"
    if params.rig_sha256 != rig.sha256:
        raise UserError(
            f"{path} was tracked with the rig {params.rig} {params.rig_sha256[:12]}, "
            f"the rig given is {rig.name} {rig.sha256[:12]}: {again}"
        )
    if misfit := params.misfit(rig, len(frames.sequence)):
        raise UserError(f"{path}: {misfit}: {again}")
    for name in ("sequence", "index"):
        if not np.array_equal(getattr(params, name), getattr(frames, name)):
            raise UserError(f"{path}: {name} differs from {frames.path}:/timesteps: {again}")
    if cameras.ids != frames.camera_ids or not np.array_equal(cameras.sizes, frames.sizes):
        raise UserError(
            f"{home / 'track/cameras.json'} has other cameras or sizes than {frames.path}: {again}"
        )


def _rig_arrays(params: RigParams) -> dict[str, np.ndarray]:
    """The content of /rig: the arrays of params.npz that are not in /timesteps."""
    names = {entry.name for entry in fields(params)} - {*_TIMESTEPS, *_ATTRIBUTES}
    return {name: np.asarray(getattr(params, name)) for name in sorted(names)}


def _attributes(home: Path, params: RigParams, settings: PackSettings) -> dict[str, str]:
    index = files.read_json(home / "ingest/index.json")
    clips = [
        {key: clip[key] for key in ("sequence", "camera", "source", "sha256")}
        for clip in index["clips"]
    ]
    sources: dict[str, Any] = {**index, "clips": clips}
    return {
        "subject": home.name,
        "rig": params.rig,
        "rig_sha256": params.rig_sha256,
        "config_json": json.dumps({"pack": asdict(settings)}),
        "sources_json": json.dumps(sources),
        "code_version": version("headsplat"),
    }
