"""Training and rendering on a GPU: python -m benchmarks.train_gpu [--demo results/demo]

Images per second of the preset `fast` with batches of one and of sixteen (generated frames of
512x512, 20,000 Gaussians), pictures per second of 86,000 Gaussians at 550x802 with the rig, one at
a time and sixteen together, and, given the demo's results, the seconds in which `fast` reaches its
quality there. The first call compiles gsplat.

Exit code 1 if a limit is missed, 2 without a CUDA device.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.frames import camera_tensors, composite
from avatar.evaluate.metrics import psnr, squared_error
from avatar.evaluate.renders import protocol_rows, render_rows
from avatar.gaussians.model import RiggedGaussians
from avatar.render import Views, cuda, render
from avatar.rig import HeadRig
from avatar.train.presets import FAST, Batch, Preset
from avatar.train.refined import refined_params
from avatar.train.trainer import Trainer
from benchmarks import report
from benchmarks.train_cpu import TIMESTEPS, Crowded, write_dataset
from pipeline.demo import motion, studio

LIMITS = {
    "images/s, 16 a step": 1000.0,
    "16 a step over one": 3.5,
    "pictures/s, one at a time": 1500.0,
    "pictures/s, 16 together": 4000.0,
}  # at least
QUALITY = {"novel_view": 29.0, "self_reenactment": 27.0}  # dB, at least, at the demo
CHECKS = 12  # of the quality, spread over the run
WHITE = np.ones(3, np.float32)


def images_per_second(rig: HeadRig, dataset: Dataset, batch: Batch, steps: int) -> float:
    """Of steps that find their frames decoded."""
    Crowded.count = 20_000
    density = replace(FAST.density, interval=0)
    preset = replace(FAST, images=10**7, batch=batch, density=density)
    trainer = Crowded(dataset, motion.perform(rig, TIMESTEPS), rig, preset, device="cuda")
    running = trainer.steps()
    for _ in range(2 * len(dataset) // (batch.timesteps * batch.views)):
        next(running)
    spent = _timed(lambda: [next(running) for _ in range(steps)])
    return steps * batch.timesteps * batch.views / spent


def pictures_per_second(rig: HeadRig, together: int, repeats: int) -> float:
    """Rig, binding and renderer, 550x802, 86,000 Gaussians, without gradients."""
    generator = torch.Generator().manual_seed(0)
    every = RiggedGaussians.on_faces(len(rig.faces))
    faces = torch.randint(len(every), (86_000,), generator=generator)
    many = RiggedGaussians(**{name: v[faces] for name, v in every.tensors().items()})
    many.log_scales -= 1.0
    on_device, gaussians = rig.to("cuda"), many.to("cuda")
    params = motion.perform(rig, together).to("cuda")
    poses = params.poses(torch.arange(together, device="cuda"))
    viewmats, Ks, _, _ = camera_tensors(studio.make_cameras(1, 802), np.zeros((together, 1), int))
    views = Views(viewmats, Ks, 550, 802).to("cuda")
    white = torch.ones(together, 1, 3, device="cuda")

    @torch.no_grad()
    def pictures() -> None:
        world = gaussians.activate(on_device(**poses), on_device.faces)
        render(world, views, white)

    pictures()
    return together * repeats / _timed(lambda: [pictures() for _ in range(repeats)])


def _timed(work: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def quality(home: Path, rig: HeadRig, preset: Preset) -> tuple[list[list[str]], bool]:
    """Rows of images, seconds and PSNR of a training; whether the quality was reached."""
    rows: list[list[str]] = []
    with Dataset(home / "dataset.h5") as dataset:
        trainer = Trainer(dataset, refined_params(home, dataset, rig), rig, preset, device="cuda")
        marks = [preset.images * (k + 1) // CHECKS for k in range(CHECKS)]
        found = dict.fromkeys(QUALITY, 0.0)
        for _ in trainer.steps():
            if trainer.images >= marks[len(rows)]:
                found = {name: _psnr(trainer, rig, dataset, name) for name in QUALITY}
                seconds = f"{trainer.seconds:.1f}"
                shown = (f"{value:.2f}" for value in found.values())
                rows.append([str(trainer.images), seconds, *shown])
    return rows, all(found[name] >= least for name, least in QUALITY.items())


def _psnr(trainer: Trainer, rig: HeadRig, dataset: Dataset, protocol: str) -> float:
    rows = protocol_rows(dataset, protocol)[::4]
    return float(
        np.mean(
            [
                psnr(float(squared_error(frame.image, truth).mean()))
                for frame in render_rows(trainer.avatar({}), rig, dataset, rows, WHITE)
                for truth in [composite(dataset.image(frame.row), dataset.alpha(frame.row), WHITE)]
            ]
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rig", type=Path, default=report.ROOT / "results/rigs/anny.npz")
    parser.add_argument("--demo", type=Path, help="results of the demo, as far as refine")
    parser.add_argument("--steps", type=int, default=200)
    report.add_option(parser)
    args = parser.parse_args()
    try:
        cuda.load()
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    rig = HeadRig.load(args.rig)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "dataset.h5", rig, 512)
        with Dataset(Path(folder) / "dataset.h5") as dataset:
            many = images_per_second(rig, dataset, Batch(timesteps=4, views=4), args.steps)
            single = images_per_second(rig, dataset, Batch(), args.steps)
    found = {
        "images/s, 16 a step": many,
        "16 a step over one": many / single,
        "pictures/s, one at a time": pictures_per_second(rig, 1, args.steps),
        "pictures/s, 16 together": pictures_per_second(rig, 16, args.steps),
    }
    rows = [[name, f"{found[name]:.1f}", f"{least:g}"] for name, least in LIMITS.items()]
    body = f"{torch.cuda.get_device_name()}.\n\n{report.table(['what', 'found', 'at least'], rows)}"
    missed = any(found[name] < least for name, least in LIMITS.items())
    if args.demo:
        curve, reached = quality(args.demo, rig, FAST)
        header = ["images", "seconds", "new view, dB", "held-out motion, dB"]
        body += f"\n\nPreset `fast`, the demo.\n\n{report.table(header, curve)}"
        missed = missed or not reached
    sources = ["avatar/train", "avatar/render", "avatar/gaussians", "avatar/losses", "avatar/rig"]
    report.publish("docs/performance.md", "train_gpu", body, sources, args.write)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
