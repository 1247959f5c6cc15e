"""Training on a CPU: python -m benchmarks.train_cpu [--steps 30]

Steps of the preset `quick` on generated frames (four cameras of the demo, the demo's motion, soft
noise for pictures) at several sizes and numbers of Gaussians, after density control: images per
second, the share of each part, the gain of the second thread, and the peak memory. The parts are
those of torch's profiler in steps of their own; what a step does between them is `other`.

Exit code 1 if a limit is missed.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numba
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot
from torch.profiler import ProfilerActivity, profile, record_function

from avatar.base.memory import keep_freed_memory
from avatar.data import jpeg, png
from avatar.data.dataset import Dataset
from avatar.data.frames import FrameFeed
from avatar.data.layout import ALPHA, IMAGE, Tables
from avatar.data.writer import create
from avatar.gaussians.model import RiggedGaussians
from avatar.render.cpu import set_num_threads, warm_up
from avatar.rig import HeadRig
from avatar.train import trainer as training
from avatar.train.optimiser import Optimiser
from avatar.train.presets import QUICK, override
from avatar.train.trainer import Trainer
from benchmarks import report
from pipeline.demo import motion, studio

CAMERAS, TIMESTEPS = 4, 12
SIZES = (128, 256, 512)
COUNTS = (10_000, 50_000)
LIMIT = 40.0  # images/s at 256x256 with 10k Gaussians on two cores
GAIN = 1.6  # of the second thread in a step at 512x512
PARTS = ("data", "rig", "render", "loss", "optimiser")
RENDER = ("_BlendBackward", "_ProjectBackward")
BACKWARD = "autograd::engine::evaluate_function: "


@dataclass(frozen=True)
class Case:
    """Images of so many pixels a side, and how many Gaussians."""

    size: int
    count: int

    def __str__(self) -> str:
        return f"{self.count // 1000}k, {self.size}x{self.size}"


@dataclass(frozen=True)
class Speed:
    """What a case takes.

    Attributes:
        one, two: seconds of a step with one thread and with two.
        images: of a step.
        shares: of the parts, 0..1; they and `other` sum to one.
        peak: MiB, of the process.
    """

    one: float
    two: float
    images: int
    shares: dict[str, float]
    peak: float


class Crowded(Trainer):
    """A trainer of so many Gaussians, on faces at random, as density control leaves them."""

    count = 0

    def _first_gaussians(self, *arguments: Any) -> RiggedGaussians:
        generator = torch.Generator().manual_seed(0)
        every = super()._first_gaussians(*arguments)
        faces = torch.randint(len(every), (self.count,), generator=generator)
        many = RiggedGaussians(**{name: v[faces] for name, v in every.tensors().items()})
        many.means_local = 0.3 * torch.randn(self.count, 3, generator=generator)
        many.log_scales += 0.5 * float(np.log(len(every) / self.count))  # as much area as before
        return many


def write_dataset(path: Path, rig: HeadRig, size: int) -> None:
    """Soft noise within a disc, seen by the demo's cameras while the demo's person moves."""
    random = np.random.default_rng(0)
    alpha: np.ndarray = np.zeros((size, size), np.uint8)
    cv2.circle(alpha, (size // 2, size // 2), size // 3, (255,), -1)
    params, cameras = motion.perform(rig, TIMESTEPS), studio.make_cameras(CAMERAS, size)
    timesteps = len(params)
    camera, timestep = (v.ravel() for v in np.mgrid[:CAMERAS, :timesteps])
    with create(path) as writer:
        for _ in camera:
            noise: np.ndarray = cv2.GaussianBlur(random.normal(0, 1, (size, size, 3)), (0, 0), 1.5)
            image = (128 + 120 * noise / np.abs(noise).max()).astype(np.uint8)
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, png.encode(alpha))
        writer.write_tables(
            Tables(
                list(cameras.ids), cameras.sizes, params.sequence, params.index, params.time,
                camera, timestep,
            )
        )  # fmt: skip
        writer.write_arrays("cameras", {"K": cameras.Ks, "viewmat": cameras.viewmats})
        writer.write_arrays("timesteps", {"valid": params.valid})
        writer.write_arrays("frames", {"split": np.zeros(len(camera), np.uint8)})


def measure(rig_path: Path, case: Case, steps: int) -> Speed:
    """In a process of its own, whose peak memory is the case's."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (rig_path, case, steps))


def _measure(rig_path: Path, case: Case, steps: int) -> Speed:
    torch.set_num_threads(1)
    keep_freed_memory()
    warm_up()
    rig = HeadRig.load(rig_path)
    preset = override(QUICK, {"density": {"interval": 0}, "images": 10**6})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dataset.h5"
        write_dataset(path, rig, case.size)
        with Dataset(path) as dataset:
            Crowded.count = case.count
            trainer = Crowded(dataset, motion.perform(rig, TIMESTEPS), rig, preset)
            trainer.shrink = 1
            running = trainer.steps()
            images = next(running)
            for _ in range(TIMESTEPS * CAMERAS // images):  # all frames are decoded
                next(running)
            times: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(4):
                for threads in times:
                    _use(threads)
                    for _ in range(steps // 4):
                        start = time.perf_counter()
                        next(running)
                        times[threads].append(time.perf_counter() - start)
            one, two = (float(np.median(values)) for values in times.values())
            shares = _shares(running, steps)
            trainer._close_feed()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return Speed(one, two, images, shares, peak)


def _use(threads: int) -> None:
    set_num_threads(threads)
    numba.set_num_threads(threads)


def _shares(running: Any, steps: int) -> dict[str, float]:
    """Each part's share of steps under the profiler."""
    owners: list[tuple[Any, str, str]] = [
        (FrameFeed, "at", "data"), (HeadRig, "forward", "rig"),
        (RiggedGaussians, "activate", "rig"), (training, "render", "render"),
        (training, "objective", "loss"), (Optimiser, "step", "optimiser"),
    ]  # fmt: skip
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in owners]
    for owner, name, label in owners:
        setattr(owner, name, _labelled(getattr(owner, name), label))
    try:
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            start = time.perf_counter()
            for _ in range(steps):
                next(running)
            whole = 1e6 * (time.perf_counter() - start)
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
    spent = dict.fromkeys(PARTS, 0.0)
    for event in profiled.key_averages():
        if event.key in PARTS:
            spent[event.key] += event.cpu_time_total
        elif event.key.startswith(BACKWARD):
            node = event.key.removeprefix(BACKWARD)
            part = "render" if node in RENDER else "loss" if "Appearance" in node else "rig"
            spent[part] += event.cpu_time_total
    shares = {part: value / whole for part, value in spent.items()}
    return shares | {"other": 1 - sum(shares.values())}


def _labelled(function: Callable[..., Any], label: str) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        with record_function(label):
            return function(*arguments, **named)

    return wrapped


def draw(path: Path, speeds: dict[Case, Speed]) -> None:
    """Seconds of an image over its pixels."""
    figure, axes = pyplot.subplots(figsize=(5, 3), layout="constrained")
    for count in COUNTS:
        cases = [case for case in speeds if case.count == count]
        sides = [case.size for case in cases]
        axes.loglog(
            sides, [1e3 * speeds[c].two / speeds[c].images for c in cases], "o-",
            label=f"{count // 1000}k Gaussians",
        )  # fmt: skip
    axes.set(xlabel="width and height, pixels", ylabel="ms per image, two threads")
    axes.set_xticks(SIZES, [str(size) for size in SIZES])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rig", type=Path, default=report.ROOT / "results/rigs/anny.npz")
    report.add_option(parser)
    args = parser.parse_args()
    cases = [Case(size, count) for count in COUNTS for size in SIZES]
    speeds = {case: measure(args.rig, case, args.steps) for case in cases}
    header = ["Gaussians, image", "ms a step, 1 thread", "2 threads", "gain", "images/s"]
    header += [*PARTS, "other", "peak, MiB"]
    rows = [
        [str(case), f"{1e3 * s.one:.1f}", f"{1e3 * s.two:.1f}", f"{s.one / s.two:.2f}",
         f"{s.images / s.two:.0f}", *(f"{v:.0%}" for v in s.shares.values()), f"{s.peak:.0f}"]
        for case, s in speeds.items()
    ]  # fmt: skip
    missed = misses(speeds)
    first = next(iter(speeds.values()))
    body = f"{first.images} images a step. Images/s and shares with two threads.\n\n"
    body += f"{report.table(header, rows)}\n\nLimits missed: {'; '.join(missed) or 'none'}.\n\n"
    body += "![milliseconds per image over its size](images/train_cpu.svg)"
    if args.write:
        draw(report.ROOT / "docs/images/train_cpu.svg", speeds)
    sources = ["avatar/train", "avatar/render", "avatar/gaussians", "avatar/losses", "avatar/rig"]
    report.publish("docs/performance.md", "train_cpu", body, sources, args.write)
    return 1 if missed else 0


def misses(speeds: dict[Case, Speed]) -> list[str]:
    """The limits that are not kept."""
    found = []
    small, large = speeds[Case(256, 10_000)], [s for c, s in speeds.items() if c.size == 512]
    if small.images / small.two < LIMIT:
        found.append(f"{small.images / small.two:.0f} images/s, at least {LIMIT:.0f}")
    found += [
        f"gain {s.one / s.two:.2f} at 512x512, at least {GAIN:g}"
        for s in large
        if s.one / s.two < GAIN
    ]
    return found


if __name__ == "__main__":
    sys.exit(main())
