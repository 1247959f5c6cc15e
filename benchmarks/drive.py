"""Avatars in another person's motion: python -m benchmarks.drive --results results

Each of `PAIRS` is measured under the protocol `cross_reenactment` (docs/protocols.md), as
`headsplat drive --measure` does. Pairs of an avatar and its own capture, driven as if by another
person, show what the measures find where nothing is lost by the transfer. A second table has the
time of a frame.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

import avatar
from avatar.animate import motion
from avatar.animate.loaded import WHITE, HeadAvatar
from avatar.base.memory import keep_freed_memory
from avatar.render import render
from avatar.rig.params import POSES
from benchmarks import report
from pipeline.drive import drivers, measure, output

PAIRS = (
    ("demo", "address"),
    ("address", "demo"),
    ("black_hair_woman_512", "address"),
    ("address", "facekit"),
    ("seated_man_hevc_1080x1920", "black_hair_woman_512"),
)
LEAST = 0.8  # correlation
MOST = 5.0  # per cent of the eyes' distance
FASTEST = 25.0  # frames a second
FAST, FRAMES, ROUNDS = "address", 160, 3  # subject of the measured speed, frames, repetitions
SOURCES = [
    "avatar/animate", "avatar/render", "pipeline/drive", "pipeline/evaluate/faces.py",
    "benchmarks/drive.py",
]  # fmt: skip


class Subjects:
    """Avatars and filmed frames of finished subjects, each read once."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.avatars: dict[str, HeadAvatar] = {}
        self.films: dict[str, measure.Filmed] = {}

    def avatar(self, name: str) -> HeadAvatar:
        """A trained avatar."""
        if name not in self.avatars:
            self.avatars[name] = avatar.load(self.results / name)
        return self.avatars[name]

    def film(self, name: str) -> measure.Filmed:
        """A subject's own frames."""
        if name not in self.films:
            track = drivers.read_track(self.results / name, self.avatar(PAIRS[0][0]))  # for its rig
            self.films[name] = measure.filmed(self.results / name, track)
        return self.films[name]


def speed(of: HeadAvatar, path: Path) -> dict[str, float]:
    """Milliseconds a frame of each part by itself, and of the whole, written to a video."""
    params = of.recorded
    count = min(len(params), FRAMES)
    views = of.front(measure.SIZE, count)
    white = torch.tensor(WHITE)
    spent = dict.fromkeys(("posing", "rendering", "images and encoding"), 0.0)
    frames: list[output.Frame] = []
    with torch.no_grad():
        for steps in torch.arange(count).split(8):
            start = time.perf_counter()
            _, gaussians = of.avatar.pose_batch(of.rig, steps)
            posed = time.perf_counter()
            at = views._replace(viewmats=views.viewmats[steps], Ks=views.Ks[steps])
            shown = render(gaussians, at, white)
            done = time.perf_counter()
            frames += output.opaque(shown.rgb[:, 0].clamp_(0, 1), shown.alpha[:, 0])
            spent["posing"] += posed - start
            spent["rendering"] += done - posed
            spent["images and encoding"] += time.perf_counter() - done
    start = time.perf_counter()
    output.write(path, frames, 25)
    spent["images and encoding"] += time.perf_counter() - start
    part = motion.moved(
        params, {pose: getattr(params, pose)[:count] for pose in POSES}, params.time[:count]
    )
    start = time.perf_counter()
    batches = of.mapped(part, views, WHITE, output.opaque, len(os.sched_getaffinity(0)))
    output.write(path, output.each(batches), 25)
    spent["all, with threads"] = time.perf_counter() - start
    return {name: 1000 * seconds / count for name, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)  # as drive does
    keep_freed_memory()
    subjects = Subjects(args.results)
    table(subjects, args.write)
    table_of_speed(subjects, args.write)


def table(subjects: Subjects, write: bool) -> None:
    """Measure all pairs."""
    rows = []
    names = dict.fromkeys(name for name, _ in PAIRS)
    for name, driver in [*PAIRS, *((name, name) for name in names)]:
        found = measure.measure(subjects.avatar(name), subjects.film(name), subjects.film(driver))
        met = found["jaw"] >= LEAST and found["blink"] >= LEAST and found["identity"] <= MOST
        verdict = "met" if met else "missed"
        rows.append([
            f"{name} &larr; {'itself' if name == driver else driver}",
            *(f"{found[key]:.2f}" for key in ("jaw", "blink")),
            f"{found['lids_driver']:.0f}, {found['lids']:.0f}", f"{found['identity']:.1f}",
            f"{found['identity_driver']:.1f}",
            found["n"], verdict,
        ])  # fmt: skip
        print(*rows[-1], flush=True)
    header = [
        "avatar &larr; driver",
        "jaw",
        "blink",
        "lids, %",
        "identity, %",
        "driver, %",
        "frames",
        "targets",
    ]
    words = f"Targets: jaw and blink at least {LEAST}, identity at most {MOST:g} %."
    body = f"{report.table(header, rows)}\n\n{words}"
    report.publish("docs/drive.md", "drive", body, SOURCES, write)


def table_of_speed(subjects: Subjects, write: bool) -> None:
    """Measure the time of a frame."""
    of = subjects.avatar(FAST)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        speed(of, path)  # kernels are compiled and loaded
        found = pd.DataFrame([speed(of, path) for _ in range(ROUNDS)]).median()
    rate = 1000 / found["all, with threads"]
    verdict = "met" if rate >= FASTEST else "missed"
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    rows = [[name, f"{value:.1f}"] for name, value in found.items()]
    body = (
        f"{report.table(['part', 'ms a frame'], rows)}\n\n"
        f"Subject {FAST}, {len(of.avatar.gaussians.binding)} Gaussians, 512x512; {cores} cores, "
        f"load average of the machine meanwhile {load:.1f}. The parts by themselves, in one thread "
        f"of Python; all as `drive` runs them: {rate:.1f} frames/s "
        f"(target: {FASTEST:g}, {verdict})."
    )
    report.publish("docs/drive.md", "drive_speed", body, SOURCES, write)


if __name__ == "__main__":
    main()
