"""The README's command on a cluster."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avatar.base import made
from tests.cluster.conftest import SUBJECT, Controller
from tests.cluster.toy_slurm import ToySlurm


@pytest.mark.smoke
def test_the_literal_command(slurm: ToySlurm, fresh: Callable[[], Path]) -> None:
    project = fresh()
    run = Controller(project, "--profile", "slurm", SUBJECT)
    assert run.wait() == 0, run.text
    jobs = slurm.jobs()
    assert [job["rule"] for job in jobs] == list(made.STAGES)
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    summary = json.loads((project / f"results/{SUBJECT}/eval/summary.json").read_text())
    assert summary["images"] == 200
    assert SUBJECT in (project / "results/tables/metrics.csv").read_text()
    # The nodes' GPUs are none: training tells so, and `auto` is what a CPU can do.
    assert summary["preset"] == "quick"
    (log,) = (project / f"results/logs/{SUBJECT}").glob("train-*.log")
    assert "WARNING a GPU was asked for" in log.read_text()
    assert not (project / f"results/{SUBJECT}/checkpoints").exists()
