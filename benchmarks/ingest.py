"""Frames per second of ingest, and the processor time a frame takes.

python -m benchmarks.ingest [VIDEO ...]

Without videos a talking blob of 512x512 and one of 1280x720 are made. The processor time counts
every process; two divided by it is what two idle cores reach at best.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from pipeline import media
from pipeline.ingest.run import ingest
from pipeline.media.ask import close_idle

FRAMES = 300


def processor_seconds() -> float:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def made_clip(path: Path, width: int, height: int) -> Path:
    """Smooth moving noise: about as hard to code as a webcam's picture."""
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (height // 8, width // 4, 3), dtype=np.uint8)
    wide = cv2.resize(small, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    frames = (wide[:, k : k + width] for k in range(FRAMES))
    media.write_video(path, frames, 30, crf=18)
    return path


def main(paths: list[str]) -> None:
    print("| video | frames | frames/s | processor ms a frame | at most, two idle cores | load |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(path) for path in paths] or [
            made_clip(Path(folder) / f"{width}x{height}.mp4", width, height)
            for width, height in ((512, 512), (1280, 720))
        ]
        for number, clip in enumerate(clips):
            used, start = processor_seconds(), time.perf_counter()
            count = ingest(clip, Path(folder) / str(number)).metrics["frames"]
            close_idle()  # a process counts when it has ended
            wall, used = time.perf_counter() - start, processor_seconds() - used
            load = os.getloadavg()[0]
            print(
                f"| {clip.name} | {count} | {count / wall:.0f} | {1000 * used / count:.1f} "
                f"| {2 * count / used:.0f} | {load:.1f} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
