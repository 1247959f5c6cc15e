"""Time that a training step waits for its frames: python -m benchmarks.feed [--steps 24]

Writes a dataset of 550x802 frames into a temporary folder and runs steps of two timesteps and two
views over it: frames in, a render of 20k Gaussians, the appearance loss, all gradients. Prints a
table of milliseconds per step (medians of interleaved rounds) for frames
- decoded inside the step that needs them,
- decoded ahead with no budget, so every frame of every step anew,
- all kept within the budget.
Feeding is what the step spends on its frames, compositing included, which all three must do;
waiting is what it spends above the last. The share is that of waiting in the whole step.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar.data import jpeg, png
from avatar.data.dataset import Dataset
from avatar.data.frames import FrameFeed, FrameOrder, Frames, composite
from avatar.data.layout import ALPHA, IMAGE, Tables
from avatar.data.writer import create
from avatar.losses.terms import appearance
from avatar.render import rasterize
from benchmarks import report
from benchmarks.render_cpu import Size, make_scene

SIZE = Size(20_000, 550, 802, (1.0, 3.0), reference=False)
CAMERAS, TIMESTEPS = 4, 12
BATCH = 4
WHITE = np.ones((2, 2, 3), np.float32)
Feeding = Callable[[int], Frames]


def write_dataset(path: Path) -> None:
    """Soft noise as detailed as skin and hair, an ellipse of alpha, and arbitrary cameras."""
    random = np.random.default_rng(0)
    shape = (SIZE.height, SIZE.width)
    alpha: np.ndarray = np.zeros(shape, np.uint8)
    cv2.ellipse(alpha, (275, 400), (180, 280), 0, 0, 360, (255,), -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 3)
    camera, timestep = (v.ravel() for v in np.mgrid[:CAMERAS, :TIMESTEPS])
    with create(path) as writer:
        for _ in camera:
            noise: np.ndarray = cv2.GaussianBlur(random.normal(0, 1, (*shape, 3)), (0, 0), 1.5)
            image = (128 + 120 * noise / np.abs(noise).max()).astype(np.uint8)
            writer.append(IMAGE, jpeg.encode(image))
            writer.append(ALPHA, png.encode(alpha))
        steps = np.arange(TIMESTEPS)
        ids, sizes = [str(c) for c in range(CAMERAS)], np.full((CAMERAS, 2), shape[::-1])
        writer.write_tables(
            Tables(ids, sizes, np.full(TIMESTEPS, "a"), steps, steps / 25, camera, timestep)
        )
        eyes = np.repeat(np.eye(4)[None], CAMERAS, 0)
        writer.write_arrays("cameras", {"K": eyes[:, :3, :3], "viewmat": eyes})
        writer.write_arrays("timesteps", {"valid": np.ones(TIMESTEPS, bool)})
        writer.write_arrays("frames", {"split": np.zeros(len(camera), np.uint8)})


def inside_the_step(dataset: Dataset, order: FrameOrder) -> Feeding:
    def frames(step: int) -> Frames:
        rows = order.rows(step).ravel()
        images = [composite(dataset.image(r), dataset.alpha(r), WHITE[0, 0]) for r in rows]
        return Frames(torch.from_numpy(np.stack(images)).unflatten(0, (2, 2)), torch.empty(0))

    return frames


class Training:
    """Steps that are all alike but for their frames."""

    def __init__(self) -> None:
        self._gaussians, (viewmats, Ks) = make_scene(SIZE, None)
        self._views = viewmats.expand(BATCH, 4, 4), Ks.expand(BATCH, 3, 3)

    def step(self, truth: torch.Tensor) -> None:
        images, _, _ = rasterize(*self._gaussians, *self._views, SIZE.width, SIZE.height)
        appearance(images, truth.flatten(0, 1)).loss.backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24, help="per way")
    report.add_option(parser)
    args = parser.parse_args()
    training = Training()
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "dataset.h5")
        with Dataset(Path(folder) / "dataset.h5") as dataset:
            body = measure(dataset, training, args.steps)
    sources = ["avatar/data/frames.py", "avatar/render", "avatar/losses"]
    report.publish("docs/performance.md", "feed", body, sources, args.write)


def measure(dataset: Dataset, training: Training, steps: int) -> str:
    """The table, as Markdown."""
    order = FrameOrder(dataset, dataset.rows(0), 2, 2, seed=0)
    ahead, kept = FrameFeed(dataset, order, 0), FrameFeed(dataset, order, 1024)
    for step in range(order.steps_per_epoch):
        kept.at(step, WHITE)
    ways: dict[str, Feeding] = {
        "decoded inside the step": inside_the_step(dataset, order),
        "decoded ahead, budget 0": lambda step: ahead.at(step, WHITE),
        "all kept": lambda step: kept.at(step, WHITE),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    round_of = 6  # steps of one way in a row: the first, which starts the threads, is not counted
    for first in range(0, steps, round_of - 1):
        for name, frames in ways.items():
            for step in range(first, first + round_of):
                start = time.perf_counter()
                truth = frames(step).images
                fed = time.perf_counter()
                training.step(truth)
                if step > first:
                    times[name].append((fed - start, time.perf_counter() - start))
    for feed in (ahead, kept):
        feed.close()
    least = 1e3 * np.median(times["all kept"], 0)[0]
    rows = []
    for name, pairs in times.items():
        fed, whole = 1e3 * np.median(pairs, 0)
        waiting = fed - least
        share = f"{waiting / whole:.1%}"
        rows.append([name, f"{fed:.1f}", f"{whole:.0f}", f"{waiting:.1f}", share])
    header = ["frames", "feeding, ms", "whole step, ms", "waiting, ms", "share of the step"]
    return f"{BATCH} images per step ({SIZE}).\n\n{report.table(header, rows)}"


if __name__ == "__main__":
    main()
