"""Checkpoints by the clock, and the end of the job's time."""

import time

import pytest

from avatar.train import clock
from avatar.train.clock import Clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves."""
    value = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: value[0])
    monkeypatch.setattr(time, "time", lambda: value[0])
    return value


def test_quick_checkpoints_come_often_slow_ones_as_late_as_allowed(now: list[float]) -> None:
    one = Clock(120.0, None)
    now[0] += clock.FIRST
    assert not one.is_due()
    now[0] += 0.1
    assert one.is_due()
    for took, interval in ((0.5, 25.0), (60.0, 120.0)):  # 2 % of the time, at most two minutes
        with one.saving():
            now[0] += took
        now[0] += interval
        assert not one.is_due()
        now[0] += 0.1
        assert one.is_due()


def test_the_last_checkpoint_is_written_before_the_end(now: list[float]) -> None:
    assert not Clock(120.0, None).is_over()
    one = Clock(120.0, 1100.0)
    with one.saving():
        now[0] += 10.0
    now[0] = 1100.0 - clock.MARGIN - 20.1
    assert not one.is_over()
    now[0] += 0.2
    assert one.is_over()


def test_no_time_between_checkpoints_means_one_after_each_step(now: list[float]) -> None:
    one = Clock(0.0, None)
    now[0] += 0.01
    assert one.is_due()
