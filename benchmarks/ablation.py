"""Each part of the method switched off in turn: python -m benchmarks.ablation [--jobs 2]

Trains the packed subject (make demo) once per variant and seed, on the frames and parameters of its
dataset.h5, and measures held-out frames: PSNR and SSIM over white, on the full frame and in the
mask. Runs of the same dataset, settings, seed and code that are in the CSV file already are not
repeated, so it can be stopped and called again. The table has, per protocol, the mean over seeds
of each variant and its difference from the default, with the standard deviation of that difference
over the seeds.
"""

import argparse
import csv
import fcntl
import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.data.layout import TRAIN
from avatar.evaluate.metrics import psnr, squared_error, ssim
from avatar.evaluate.protocols import WHOLE
from avatar.evaluate.renders import protocol_rows, render_rows
from avatar.gaussians.avatar_file import Avatar
from avatar.rig import HeadRig, RigParams
from avatar.train.checkpoint import run_key
from avatar.train.presets import Preset, TrainSettings, override, resolve
from avatar.train.refined import refined_params
from avatar.train.trainer import Trainer
from benchmarks import report

WHITE = np.ones(3, np.float32)
MOST_FRAMES = 120  # of a protocol, evenly thinned
COLUMNS = [
    "variant", "seed", "protocol", "n", "psnr", "ssim", "psnr_mask", "ssim_mask", "gaussians",
    "key", "overrides",
]  # fmt: skip
HEADER = [
    "variant", "seeds", "PSNR", "SSIM", "mask PSNR", "mask SSIM", "PSNR - default",
    "mask PSNR - default",
]  # fmt: skip
# What is changed against the preset. `default` is the preset itself.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no position loss": {"loss": {"position": 0.0}},
    "no scale loss": {"loss": {"scale": 0.0}},
    "no finetuning": {"rig": {"expr": 0.0, "pose": 0.0, "translation": 0.0}},
    "no tracked share": {"rig": {"tracked_share": 0.0}},
    "no density control": {"density": {"interval": 0}},
    "fixed budget": {"density": {"kind": "budget", "noise": 3500.0}},
    "SH degree 3": {"sh_degree": 3, "sh_interval": 1000},
    "no basis": {"basis": {"size": 0}},
}


def run(variant: str, overrides: dict[str, Any], seed: int, args: argparse.Namespace) -> None:
    """Train and measure one variant; adds its rows to the CSV file."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rig = HeadRig.load(args.rig)
    with Dataset(args.results / args.subject / "dataset.h5") as dataset:
        preset = _preset(dataset, args, overrides)
        params = refined_params(args.results / args.subject, dataset, rig)
        trainer = Trainer(dataset, params, rig, preset, seed)
        for _ in trainer.steps():
            pass
        avatar = Avatar(trainer.gaussians.detached(), trainer.tuned_params(), {}, trainer.space)
        rows = []
        for protocol in WHOLE:
            scores = measure(avatar, rig, dataset, protocol)
            rows.append({
                "variant": variant, "seed": seed, "protocol": protocol, **scores,
                "gaussians": len(avatar.gaussians), "key": _key(dataset, params, preset, seed),
                "overrides": json.dumps(overrides, sort_keys=True),
            })  # fmt: skip
    _append(args.table, rows)
    found = ", ".join(f"{row['psnr']:.2f}" for row in rows if row["n"])
    print(f"{variant}, seed {seed}: {found}", flush=True)


def _preset(dataset: Dataset, args: argparse.Namespace, overrides: dict[str, Any]) -> Preset:
    cameras = len(np.unique(dataset.camera[dataset.rows(TRAIN)]))
    base = resolve(TrainSettings(args.preset), cuda=False, cameras=cameras)
    if args.images:
        base = override(base, {"images": args.images})
    return override(base, overrides)


def _key(dataset: Dataset, params: RigParams, preset: Preset, seed: int) -> str:
    """What a run depends on, as one short hash."""
    parts = run_key(dataset, params, preset, seed)
    return hashlib.sha256("".join(parts.values()).encode()).hexdigest()[:12]


def measure(avatar: Avatar, rig: HeadRig, dataset: Dataset, protocol: str) -> dict[str, float]:
    """Means over the protocol's frames, evenly thinned."""
    rows = protocol_rows(dataset, protocol)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_FRAMES)).astype(int)]
    scores: dict[str, list[float]] = {}
    for frame in render_rows(avatar, rig, dataset, rows, WHITE):
        alpha = dataset.alpha(frame.row)
        truth = composite(dataset.image(frame.row), alpha, WHITE)
        error, similar = squared_error(frame.image, truth), ssim(frame.image, truth)
        for suffix, where in (("", slice(None)), ("_mask", alpha >= 128)):
            scores.setdefault("psnr" + suffix, []).append(psnr(float(error[where].mean())))
            scores.setdefault("ssim" + suffix, []).append(float(similar[where].mean()))
    return {"n": len(rows)} | {name: float(np.mean(values)) for name, values in scores.items()}


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", newline="", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerows(rows)


def table(path: Path, keys: set[str]) -> str:
    """The Markdown tables of the runs of the CSV file that have one of the keys."""
    found = pd.read_csv(path)
    found = found[found.key.isin(keys)]
    found = found.drop_duplicates(["variant", "seed", "protocol"], keep="last")
    base = found[found.variant == "default"].set_index(["protocol", "seed"])
    lines = []
    for protocol in WHOLE:
        rows = []
        for variant in dict.fromkeys(found.variant):
            part = found[(found.variant == variant) & (found.protocol == protocol)]
            part = part.set_index(["protocol", "seed"])
            gain = part[["psnr", "psnr_mask"]] - base.reindex(part.index)[["psnr", "psnr_mask"]]
            spread = gain.std()  # of one seed: nan
            rows.append([
                variant, str(len(part)), f"{part.psnr.mean():.2f}", f"{part.ssim.mean():.4f}",
                f"{part.psnr_mask.mean():.2f}", f"{part.ssim_mask.mean():.4f}",
                f"{gain.psnr.mean():+.2f} ± {spread.psnr:.2f}",
                f"{gain.psnr_mask.mean():+.2f} ± {spread.psnr_mask:.2f}",
            ])  # fmt: skip
        lines.append(f"`{protocol}`:\n\n{report.table(HEADER, rows)}")
    return "\n\n".join(lines)


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--images", type=int, help="shorten the runs to so many images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--table", type=Path, default=Path("results/ablation.csv"))
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--overrides", help="JSON: a variant of your own, named by --variants")
    args = parser.parse_args()
    variants = {name: VARIANTS[name] for name in args.variants if name in VARIANTS}
    if args.overrides:
        variants = {args.variants[0]: json.loads(args.overrides)}
    done = set(pd.read_csv(args.table).key) if args.table.exists() else set()
    with Dataset(args.results / args.subject / "dataset.h5") as dataset:
        params = refined_params(args.results / args.subject, dataset, HeadRig.load(args.rig))
        keys = {
            (variant, seed): _key(dataset, params, _preset(dataset, args, overrides), seed)
            for seed in range(args.seeds)
            for variant, overrides in variants.items()
        }
    jobs = [job for job, key in keys.items() if key not in done]
    os.environ["NUMBA_NUM_THREADS"] = "1"  # before the workers start: each has one core
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        for future in [pool.submit(run, v, variants[v], s, args) for v, s in jobs]:
            future.result()
    body = table(args.table, set(keys.values()))
    report.publish("docs/quality.md", "ablation", body, ["avatar"], args.write)


if __name__ == "__main__":
    main()
