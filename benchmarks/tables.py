"""Tables and index of many subjects: python -m benchmarks.tables [--subjects 1000]

Writes summaries and thumbnails of so many generated subjects (all protocols and regions, and one
driver; every twentieth subject failed instead), runs `headsplat tables` on them in a process of its
own, and measures its time, its peak memory and the sizes of its files. The limits are 10 s, and
5 MB of `index.html` with all pictures.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from avatar.base import files
from avatar.evaluate.protocols import CROSS_REENACTMENT, PROTOCOLS
from benchmarks import report
from pipeline.evaluate import index
from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.summaries import CROSS_FOLDER, CROSS_SCORES

SOURCES = [
    "pipeline/evaluate/tables.py", "pipeline/evaluate/page.py", "pipeline/evaluate/formats.py",
    "pipeline/evaluate/summaries.py", "pipeline/evaluate/index.py", "pipeline/evaluate/web",
    "avatar/base/html.py",
]  # fmt: skip
LIMIT = 10.0  # seconds
FAILED = 20  # one subject of so many
REGIONS = (
    *("full", "mask", "head", "torso", "mouth", "eyes"),
    *("full_near", "full_far", "full_seen_cameras", "full_new_camera"),
)


def summary(subject: str, draw: random.Random) -> dict[str, Any]:
    """A summary as `evaluate` writes it, of random figures."""
    return {
        "subject": subject, "group": f"group_{draw.randrange(20)}", "preset": "quick",
        "rig": "anny", "seed": 0, "overrides_hash": "", "torso": True, "images": 8000,
        "seconds": round(draw.uniform(100, 900), 3), "gaussians": draw.randrange(20_000, 24_000),
        "code_version": "0.1.0", "torch_version": "2.13.0+cpu",
        "dataset_sha256": f"{draw.getrandbits(256):064x}", "date": "2026-11-28T12:00:00+00:00",
        "background": 1.0,
        "protocols": {
            protocol: {"regions": {region: scores(draw) for region in REGIONS}}
            for protocol in PROTOCOLS
        },
    }  # fmt: skip


def scores(draw: random.Random) -> dict[str, float]:
    found: dict[str, float] = {"n": draw.randrange(60, 480)}
    for name in METRICS:
        mean = draw.uniform(20, 32) if name == "psnr" else draw.uniform(0.02, 1)
        spread = {"n": 50, "std": mean / 9, "lo": 0.9 * mean, "hi": 1.1 * mean}
        found |= {name: mean} | {f"{name}_{key}": value for key, value in spread.items()}
    return found


def reenactment(subject: str, draw: random.Random) -> dict[str, Any]:
    """A summary as `drive --measure` writes it, of random figures."""
    found = {name: draw.uniform(0, 1) for name in CROSS_SCORES} | {"n": 120}
    about = {"protocol": CROSS_REENACTMENT.name, "subject": subject, "driver": "dora"}
    return about | {"preset": "quick", "rig": "anny", "torso": True, "scores": found}


def write_crowd(results: Path, count: int) -> None:
    """Summaries and failure records of `count` subjects."""
    draw = random.Random(0)
    for k in range(count):
        home = results / f"subject_{k:04}"
        if k % FAILED == 0:
            error = f"captures/{home.name}.mp4 has no face: choose another video"
            files.write_json(home / "failures/track.json", {"stage": "track", "error": error})
        else:
            files.write_json(home / "eval/summary.json", summary(home.name, draw))
            files.write_json(home / CROSS_FOLDER / "dora.json", reenactment(home.name, draw))
            index.save_picture(home / index.PICTURE, picture(draw.randrange(2**32)))


def picture(seed: int) -> UInt8[np.ndarray, "H W 3"]:
    """Coloured blots on white, which take more bytes than a thumbnail of the demo does."""
    random = np.random.default_rng(seed)
    width, height = index.SIZE
    y, x = np.mgrid[:height, :width] / width
    image = np.ones((height, width, 3))
    for centre, radius in zip(random.random((25, 2)), random.uniform(0.05, 0.3, 25), strict=True):
        near = np.hypot(x - centre[0], y - centre[1]) < radius
        image[near] = 0.5 * image[near] + 0.5 * random.random(3)
    noisy = image + random.normal(0, 0.02, image.shape)
    return (noisy.clip(0, 1) * 255).astype(np.uint8)


def measure(results: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory (MiB) of `headsplat tables`."""
    command = [sys.executable, "-m", "pipeline.evaluate.tables", "--results", str(results)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=report.ROOT)
    took = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=1000)
    report.add_option(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        write_crowd(results, args.subjects)
        took, busy, peak = measure(results)
        paths = [*sorted((results / "tables").iterdir()), results / index.NAME]
        sizes = {path.name: path.stat().st_size for path in paths}
        whole = '"note":""' in (results / index.NAME).read_text(encoding="utf-8")
    rows = [[name, f"{size / 2**20:.2f}"] for name, size in sizes.items()]
    body = (
        f"{args.subjects} subjects: {took:.1f} s (limit {LIMIT:.0f} s), of it {busy:.1f} s on the "
        f"CPU; load average {os.getloadavg()[0]:.0f}; peak memory {peak:.0f} MiB. The index has "
        f"{'all' if whole else 'no'} pictures (limit {index.LIMIT / 1e6:.0f} MB).\n\n"
        + report.table(["file", "size, MiB"], rows)
    )
    report.publish("docs/performance.md", "tables", body, SOURCES, args.write)
    return int(took > LIMIT or not whole)


if __name__ == "__main__":
    sys.exit(main())
