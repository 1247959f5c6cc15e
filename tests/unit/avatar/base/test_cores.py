"""The one number of cores: what Snakemake gives a job, else those of the process."""

import os

import pytest

from avatar.base.cores import cores


@pytest.mark.parametrize(
    ("given", "expected"), [("1", 1), ("3", 3), ("99", 4), ("", 4), ("0", 4), ("2,1", 4), (None, 4)]
)
def test_cores(monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert cores() == expected
