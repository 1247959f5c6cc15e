"""The README's command on a cluster."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avatar.base import made
from tests.cluster.conftest import SUBJECT, Start, log_of
from tests.cluster.toy_slurm import ToySlurm


@pytest.mark.smoke
def test_the_literal_command(slurm: ToySlurm, fresh: Callable[[], Path], start: Start) -> None:
    project = fresh()
    run = start(project, "--profile", "slurm", SUBJECT)
    assert run.wait() == 0, run.text
    jobs = slurm.jobs()
    assert [job["rule"] for job in jobs] == list(made.STAGES)
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    summary = json.loads((project / f"results/{SUBJECT}/eval/summary.json").read_text())
    assert summary["images"] == 200
    assert SUBJECT in (project / "results/tables/metrics.csv").read_text()
    # The nodes' GPUs are none: training tells so, and `auto` is what a CPU can do.
    assert summary["preset"] == "quick"
    assert "WARNING a GPU was asked for" in log_of(project, "train")
    assert not (project / f"results/{SUBJECT}/checkpoints").exists()
