"""A map in threads: OpenCV, PyAV and MediaPipe let others run while they work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from avatar.base.cores import cores

A = TypeVar("A")
B = TypeVar("B")


def threaded(work: Callable[[A], B], jobs: Iterable[A]) -> Iterator[B]:
    """Map in order, a thread a core; few jobs in flight, so that memory stays bounded.

    `jobs` runs here.
    """
    threads = cores()
    with ThreadPoolExecutor(threads) as pool:
        flying: deque[Future[B]] = deque()
        for job in jobs:
            flying.append(pool.submit(work, job))
            if len(flying) > 2 * threads:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
