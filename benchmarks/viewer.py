"""How much a viewer slows training down: python -m benchmarks.viewer --subject demo

Trains a subject, in turn some steps without a viewer, some with one that nobody looks at, and some
with one whose page moves nothing. Each is compared with those without a viewer of the same round,
so that other programs and the growth of the avatar have little effect. Nothing is written but the
table. Needs `dataset.h5` and `refine/` of a subject.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from itertools import cycle, islice

import numpy as np
import torch

from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.render import default_device
from avatar.rig import HeadRig
from avatar.train.presets import QUICK
from avatar.train.refined import refined_params
from avatar.train.run import unwatched
from avatar.train.trainer import Trainer
from avatar.train.watch import Watch
from benchmarks import report
from tests.viewers import joined

SOURCES = ["avatar/viewer", "avatar/train/watch.py", "avatar/train/run.py"]
NONE, IDLE, SEEN = "none", "nobody connected", "one page, 1100 x 760, nothing moved"
MOST = 0.10  # slower than without a viewer, with nobody connected
BEFORE = 3  # steps before each timed row, in which the first picture is rendered


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20, help="timed in a row")
    args = parser.parse_args()
    torch.set_num_threads(1)  # as training does
    keep_freed_memory()
    home, rig = args.results / args.subject, HeadRig.load(args.rig)
    times: dict[str, list[float]] = {NONE: [], IDLE: [], SEEN: []}
    with Dataset(home / "dataset.h5") as dataset:
        params = refined_params(home, dataset, rig)
        trainer = Trainer(dataset, params, rig, QUICK, device=default_device())
        steps = trainer.steps()
        for order in islice(cycle([list(times), list(times)[::-1]]), args.rounds):
            for kind in order:
                times[kind].append(_block(trainer, steps, rig, kind, args.steps))
        share, asked = _idle(trainer, rig)
    plain = times[NONE]
    shares = {
        kind: np.array([some / none - 1 for some, none in zip(found, plain, strict=True)])
        for kind, found in times.items()
    }
    rows = [
        [
            kind,
            f"{1000 * statistics.median(found) / args.steps:.0f}",
            *(f"{100 * np.quantile(shares[kind], part):+.1f} %" for part in (0.5, 0.25, 0.75)),
        ]
        for kind, found in times.items()
    ]
    header = ["viewer", "ms a step", "against none in the same round", "lower quartile", "upper"]
    body = (
        f"Preset `quick` on subject {args.subject}: medians of {args.rounds} rounds of "
        f"{args.steps} steps, {trainer.images} images in all.\n\n"
        f"{report.table(header, rows)}\n\n"
        f"A server that nobody looks at uses {100 * share:.2f} % of a core, and a step asks it for "
        f"{1e6 * asked:.0f} µs."
    )
    report.publish("docs/viewer.md", "viewer", body, SOURCES, args.write)
    slower = float(np.median(shares[IDLE]))
    if slower > MOST:
        raise SystemExit(f"{slower:.0%} slower with nobody connected, target {MOST:.0%}")


def _block(trainer: Trainer, steps: Iterator[int], rig: HeadRig, kind: str, count: int) -> float:
    """Seconds of so many steps; those in which the viewer starts are not counted."""
    watch = None if kind == NONE else Watch(trainer, rig, 0, "benchmark")
    after: Callable[[Callable[[], bool]], None] = unwatched if watch is None else watch.step
    with nullcontext() if watch is None else closing(watch):
        client = None
        if kind == SEEN and watch is not None and watch.viewer is not None:
            client = joined(watch.viewer, watch._shown, (1100, 760))
            threading.Thread(target=client.drain, daemon=True).start()
        for _ in islice(steps, BEFORE):
            after(lambda: False)
        start = time.perf_counter()
        for _ in islice(steps, count):
            after(lambda: False)
        seconds = time.perf_counter() - start
        if client is not None:
            client.close()
    return seconds


def _idle(trainer: Trainer, rig: HeadRig) -> tuple[float, float]:
    """What a viewer costs that nobody looks at: share of a core, and seconds in each step."""
    with closing(Watch(trainer, rig, 0, "benchmark")) as watch:
        time.sleep(1.0)
        began, start = time.process_time(), time.perf_counter()
        time.sleep(5.0)
        share = (time.process_time() - began) / (time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(1000):
            watch.step(lambda: False)
        return share, (time.perf_counter() - start) / 1000


if __name__ == "__main__":
    main()
