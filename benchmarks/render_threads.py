"""The CPU renderer with more threads than there are cores here: python -m benchmarks.render_threads

A simulation. One frame of each size is rendered forward and backward; each parallel call of a
kernel is a row of tasks (a chunk of 256 Gaussians, a tile of 32x32 pixels, an image to sort), and
each task is timed alone on one core, minimum of the repeats. What is spent outside of these calls
is serial. Then the schedule of `avatar.render.cpu` is played for more threads: this thread submits
one helper after another and then works too, a helper starts some time after it is submitted, and
whoever is free takes the next of its own part of the tasks, or of another's when it has none left.
Submitting and waking are measured here as well.

Caches, memory and clock that cores share are not simulated, so the figures are upper bounds. Two
threads are also measured, where there are two cores.
"""

import argparse
import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from avatar.base.memory import keep_freed_memory
from avatar.render import cpu
from avatar.render.cpu import set_num_threads, warm_up
from benchmarks import render_cpu, report
from benchmarks.render_cpu import SIZES, Size, Timing

THREADS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Starting:
    """What a helper costs, seconds: for the thread that submits it, and until it starts."""

    submit: float
    wake: float

    def starts(self, threads: int) -> list[float]:
        """When each of so many threads begins to take tasks; first the one that submits."""
        helpers = [k * self.submit + self.wake for k in range(threads - 1)]
        return [(threads - 1) * self.submit, *helpers]


@dataclass(frozen=True)
class Frame:
    """One frame, forward and backward, seconds.

    Attributes:
        calls: of each parallel call of a kernel, its tasks in order.
        serial: all else that one thread does.
    """

    calls: Sequence[Sequence[float]]
    serial: float

    def seconds(self, threads: int, starting: Starting) -> float:
        """How long it takes with so many threads; a call has no more threads than tasks."""
        spans = [
            makespan(tasks, starting.starts(max(1, min(threads, len(tasks)))))
            for tasks in self.calls
        ]
        return self.serial + sum(spans)


def makespan(tasks: Sequence[float], starts: Sequence[float]) -> float:
    """When the last task ends, where threads share them as `cpu_kernels.take_task` does.

    Args:
        tasks: how long each takes.
        starts: when each thread begins; the first is there to the end, with or without a task.
    """
    threads, end = len(starts), starts[0]
    bounds = [len(tasks) * k // threads for k in range(threads + 1)]
    left = [deque(tasks[a:b]) for a, b in pairwise(bounds)]
    free = [(start, own) for own, start in enumerate(starts)]
    heapq.heapify(free)
    for _ in tasks:
        start, own = free[0]
        order = (left[(own + k) % threads] for k in range(threads))
        done = start + next(part for part in order if part).popleft()
        heapq.heapreplace(free, (done, own))
        end = max(end, done)
    return end


class Outside:
    """Takes the place of `cpu._run`: adds up the time that is spent in it."""

    def __init__(self) -> None:
        self._run: Callable[..., None] = cpu._run
        self.inside = 0.0

    def __call__(self, *arguments: Any) -> None:
        start = time.perf_counter()
        self._run(*arguments)
        self.inside += time.perf_counter() - start


class Tasks:
    """Takes the place of `cpu._run`: runs each call in one thread, and times its tasks.

    Attributes:
        calls: seconds of each call's tasks.
        empty: seconds of all calls, if they had no task.
    """

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self.calls: list[list[float]] = []
        self.empty = 0.0

    def __call__(self, tasks: int, worker: Callable[..., None], *arguments: Any) -> None:
        memory = cpu._borrow_memory()

        def timed(first: int, count: int) -> float:
            """Seconds of the tasks from `first` to below `count`."""
            queue = np.array([[first, count]])
            start = time.perf_counter()
            worker(*arguments, queue, 0, memory)
            return time.perf_counter() - start

        timed(0, tasks)
        costs = np.full(tasks, np.inf)
        empty = min(timed(tasks, tasks) for _ in range(100))
        for _ in range(self._repeats):
            costs = np.minimum(costs, [timed(task, task + 1) for task in range(tasks)])
        self.calls.append((costs - empty).clip(0).tolist())
        self.empty += empty


@contextmanager
def run_by(other: Callable[..., None]) -> Iterator[None]:
    """Let something else run the workers."""
    original: Callable[..., None] = cpu._run
    cpu._run = other
    try:
        yield
    finally:
        cpu._run = original


def measure(size: Size, repeats: int) -> Frame:
    """Time the tasks of one frame, and what lies outside of them."""
    timing, serial = Timing(size, None, "cpu"), []
    set_num_threads(1)
    for _ in range(repeats):
        outside = Outside()
        with run_by(outside):
            whole = 1e-3 * timing.forward_and_backward()
        serial.append(whole - outside.inside)
    tasks = Tasks(repeats)
    with run_by(tasks):
        timing.forward_and_backward()
    return Frame(tasks.calls, min(serial) + tasks.empty)


def measure_starting(repeats: int = 300) -> Starting:
    """Medians, of a pool whose thread is idle."""
    pool, submits, wakes = cpu._threads(), [], []
    for _ in range(repeats):
        start = time.perf_counter()
        future = pool.submit(time.perf_counter)
        submits.append(time.perf_counter() - start)
        wakes.append(future.result() - start)
        time.sleep(1e-3)
    return Starting(float(np.median(submits)), float(np.median(wakes)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    report.add_option(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    warm_up()
    starting, none = measure_starting(), Starting(0.0, 0.0)
    header = ["Gaussians, image", "threads start", "1 thread, ms", "serial, ms"]
    header += ["longest tasks, ms"]
    header += [f"{count} threads" for count in THREADS]
    rows, checks = [], []
    for size in SIZES[1:]:
        frame = measure(size, args.repeats)
        one = frame.seconds(1, none)
        longest = sum(map(max, frame.calls))
        for name, way in (("as measured", starting), ("at no cost", none)):
            row = [str(size), name, f"{1e3 * one:.1f}", f"{1e3 * frame.serial:.2f}"]
            row += [f"{1e3 * longest:.2f}"]
            rows.append([*row, *(f"{one / frame.seconds(n, way):.2f}" for n in THREADS)])
        timings = render_cpu.measure(size, None, args.repeats, [1, 2])
        checks.append(f"{size}: {timings[0].both:.1f} and {timings[1].both:.1f} ms")
    body = "**Simulated** from the tasks of one frame, not measured: speedup over one thread.\n\n"
    body += f"{report.table(header, rows)}\n\nSubmitting a helper: {1e6 * starting.submit:.0f} µs; "
    body += f"it starts after {1e6 * starting.wake:.0f} µs. "
    body += f"Measured with one thread and with two: {'; '.join(checks)}."
    sources = ["avatar/render"]
    report.publish("docs/performance.md", "render_cpu_threads", body, sources, args.write)


if __name__ == "__main__":
    main()
