"""How much a viewer slows training down: python -m benchmarks.viewer --subject demo

Trains the first images of a subject again and again, in turn without a viewer, with one that
nobody looks at, and with one whose page moves nothing, and compares the medians: of the time, and
of the seconds on all cores, on which other programs have less effect. Nothing is written but the
table. Needs `dataset.h5` and `refine/` of a subject.
"""

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import NamedTuple

import torch

from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.render import default_device
from avatar.rig import HeadRig
from avatar.train.presets import QUICK, override
from avatar.train.refined import refined_params
from avatar.train.run import unwatched
from avatar.train.trainer import Trainer
from avatar.train.watch import Watch
from benchmarks import report
from tests.viewers import joined

SOURCES = ["avatar/viewer", "avatar/train/watch.py", "avatar/train/run.py"]
NONE, IDLE, SEEN = "none", "nobody connected", "one page, 1100 x 760, nothing moved"
MOST = 1.10  # of the time without a viewer, with nobody connected


class Time(NamedTuple):
    """Seconds of a clock, and of this process on all cores."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Time":
        """The time now."""
        return cls(time.perf_counter(), time.process_time())


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--images", type=int, default=1600, help="of each training")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)  # as training does
    keep_freed_memory()
    home, rig = args.results / args.subject, HeadRig.load(args.rig)
    times: dict[str, list[Time]] = {NONE: [], IDLE: [], SEEN: []}
    with Dataset(home / "dataset.h5") as dataset:
        _train(home, dataset, rig, NONE, args.images // 4)  # kernels are compiled and loaded
        for _ in range(args.rounds):
            for kind, found in times.items():
                found.append(_train(home, dataset, rig, kind, args.images))
    plain = times[NONE]
    rows = [
        [
            kind,
            *_told([one.wall for one in found], [one.wall for one in plain]),
            *_told([one.cpu for one in found], [one.cpu for one in plain]),
        ]
        for kind, found in times.items()
    ]
    columns = ["range", "against none"]
    header = ["viewer", "seconds", *columns, "CPU seconds", *columns]
    body = (
        f"The first {args.images} images of preset `quick` on subject {args.subject}, "
        f"{args.rounds} trainings each, medians.\n\n{report.table(header, rows)}"
    )
    report.publish("docs/viewer.md", "viewer", body, SOURCES, args.write)
    idle, none = (statistics.median(one.wall for one in times[kind]) for kind in (IDLE, NONE))
    slowed = idle / none
    if slowed > MOST:
        raise SystemExit(f"{slowed:.2f} times as long with nobody connected, target {MOST}")


def _told(found: list[float], plain: list[float]) -> list[str]:
    """Median, range, and the median against that of other times."""
    median = statistics.median(found)
    share = f"{100 * (median / statistics.median(plain) - 1):+.1f} %"
    return [f"{median:.1f}", f"{min(found):.1f} to {max(found):.1f}", share]


def _train(home: Path, dataset: Dataset, rig: HeadRig, kind: str, images: int) -> Time:
    """One training, its start not counted."""
    preset = override(QUICK, {"images": images})
    params = refined_params(home, dataset, rig)
    trainer = Trainer(dataset, params, rig, preset, device=default_device())
    watch = None if kind == NONE else Watch(trainer, rig, 0, "benchmark")
    step: Callable[[Callable[[], bool]], None] = unwatched if watch is None else watch.step
    with nullcontext() if watch is None else closing(watch):
        client = None
        if kind == SEEN and watch is not None and watch.viewer is not None:
            client = joined(watch.viewer, watch._shown, (1100, 760))
            threading.Thread(target=client.drain, daemon=True).start()
        start = Time.now()
        for _ in trainer.steps():
            step(lambda: False)
        now = Time.now()
        if client is not None:
            client.close()
    return Time(now.wall - start.wall, now.cpu - start.cpu)


if __name__ == "__main__":
    main()
