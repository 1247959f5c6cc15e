"""Memory of training and evaluation on long captures: python -m benchmarks.frames_memory

Plays the packed frames of a subject (`snakemake demo --until refine`) forwards and backwards until
there are so many, trains the preset `quick` on them, and evaluates the avatar under all protocols:
peak memory of each process. The last 30 % of the timesteps are held out, and one camera: of 8,000
frames 4,900 are for training, and the 5,000 images of `quick` are each of them once. Without
density control, which frames do not change and which takes time.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar.base import files
from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.data.layout import ALPHA, IMAGE, REGION, TEST, TRAIN, VAL, Tables
from avatar.data.split import default_camera, default_timesteps
from avatar.data.writer import create
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES
from avatar.train.refined import PARAMS, QUALITY, refined_params
from benchmarks import report
from benchmarks.media import run

# Frames, and the MiB of decoded ones that are kept: 2048 is the default; of 500 frames all fit.
CASES = {500: (2048,), 8000: (256, 2048)}
SOURCES = ["avatar/train", "avatar/data", "avatar/evaluate", "avatar/refine", "pipeline/evaluate"]


def played(params: RigParams, timesteps: int) -> tuple[RigParams, np.ndarray]:
    """Parameters of so many timesteps in one sequence, and which timestep each is taken from."""
    there = np.arange(timesteps) % (2 * len(params))
    source = np.minimum(there, 2 * len(params) - 1 - there)
    step = float(np.median(np.diff(params.time)))
    changed: dict[str, Any] = {name: getattr(params, name)[source] for name in POSES}
    changed |= {"sequence": np.full(timesteps, "main"), "index": np.arange(timesteps)}
    changed |= {"time": step * np.arange(timesteps), "valid": params.valid[source]}
    return replace(params, **changed), source


def lengthen(home: Path, rig: HeadRig, new: Path, frames: int) -> int:
    """Write `dataset.h5` and `refine/` of a longer capture; returns how many frames it has."""
    with Dataset(home / "dataset.h5") as dataset:
        cameras = len(dataset.camera_ids)
        params, source = played(refined_params(home, dataset, rig), frames // cameras)
        camera, timestep = (v.ravel() for v in np.mgrid[:cameras, : len(source)])
        held = default_timesteps(params.sequence, params.valid)[timestep]
        split = np.where(held, TEST, np.where(camera == default_camera(cameras), VAL, TRAIN))
        new.mkdir()
        with create(new / "dataset.h5") as writer:
            for c, t in zip(camera, source[timestep], strict=True):
                for channel in (IMAGE, ALPHA, REGION):
                    writer.append(channel, dataset.blob(channel, dataset.row(t, c)).tobytes())
            tables = Tables(dataset.camera_ids, dataset.sizes, params.sequence, params.index,
                            params.time, camera, timestep)  # fmt: skip
            writer.write_tables(tables)
            given = {"K": dataset.cameras.Ks, "viewmat": dataset.cameras.viewmats}
            writer.write_arrays("cameras", given)
            writer.write_arrays("timesteps", {"valid": params.valid})
            writer.write_arrays("frames", {"split": split.astype(np.uint8)})
            arrays = params.arrays()
            writer.write_arrays("rig", {name: arrays[name] for name in dataset.arrays("rig")})
            names = ("rig", "rig_sha256", "config_json", "sources_json", "code_version")
            about = {name: str(dataset.attrs[name]) for name in names}
            writer.write_attributes(about | {"subject": new.name})
    (new / "refine").mkdir()
    params.save(new / "refine" / PARAMS)
    with Dataset(new / "dataset.h5") as dataset:
        measures = {"dataset_sha256": dataset_sha256(dataset)}
    files.write_json(new / "refine" / QUALITY, {"metrics": measures})
    return len(camera)


def main() -> None:
    parser = report.subject_parser(__doc__)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rig = HeadRig.load(args.rig)
    rows = []
    with tempfile.TemporaryDirectory(prefix="frames-", dir=args.results) as folder:
        for frames, caches in CASES.items():
            home = Path(folder) / f"long{frames}"
            count = lengthen(args.results / args.subject, rig, home, frames)
            for cache in caches:
                for former in ("avatar", "checkpoints"):  # a finished run is not repeated
                    shutil.rmtree(home / former, ignore_errors=True)
                overrides = {"cache_mib": cache, "density": {"interval": 0}}
                settings = {"preset": "quick", "overrides": overrides}
                rows.append(
                    ["train", count, cache, *_measured("avatar.train", home, args, settings)]
                )
            rows.append(["evaluate", count, "-", *_measured("pipeline.evaluate", home, args, {})])
    header = ["stage", "frames", "`cache_mib`", "wall, s", "CPU, s", "peak memory, MiB"]
    body = report.table(header, rows)
    report.publish("docs/performance.md", "frames_memory", body, SOURCES, args.write)


def _measured(
    module: str, home: Path, args: argparse.Namespace, settings: dict[str, Any]
) -> list[str]:
    """Wall seconds, processor seconds and peak memory of a stage, as the table shows them."""
    more = ("--rig", str(args.rig.absolute()), "--settings", json.dumps(settings))
    row = [f"{value:.0f}" for value in run(module, home, *more)]
    print(module, home.name, settings, row, flush=True)
    return row


if __name__ == "__main__":
    main()
