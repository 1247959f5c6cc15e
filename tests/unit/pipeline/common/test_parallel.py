import os
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.common.parallel import threaded


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def test_results_come_in_the_order_of_the_jobs() -> None:
    def work(job: int) -> int:
        time.sleep(0.002 * (5 - job % 5))  # later jobs end first
        return job * job

    assert list(threaded(work, range(20))) == [k * k for k in range(20)]
    assert list(threaded(work, [])) == []


def test_few_jobs_are_in_flight() -> None:
    """The jobs are taken in the caller's thread, at most five before a result."""
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for k in range(20):
            assert threading.current_thread() is threading.main_thread()
            taken.append(k)
            yield k

    results = threaded(lambda job: job, jobs())
    assert next(results) == 0
    assert len(taken) == 5
    assert list(results) == list(range(1, 20))


def test_an_error_ends_the_map() -> None:
    def work(job: int) -> int:
        if job == 3:
            raise ValueError("job 3")
        return job

    results = threaded(work, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="job 3"):
        next(results)
