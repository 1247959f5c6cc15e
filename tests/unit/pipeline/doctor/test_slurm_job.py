"""What a small job tells of a node; here the job is a process of this machine."""

import json
import sys
from pathlib import Path

import pytest

from pipeline.doctor import slurm_job
from pipeline.doctor.finding import Finding


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`srun` that runs the command here: what follows its options."""
    path = tmp_path / "bin/srun"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def statuses(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.status for finding in findings}


def test_a_node_that_is_as_this_machine(srun: Path, tmp_path: Path) -> None:
    found = slurm_job.examine("cpu", "", tmp_path / "results")
    assert statuses(found) == {
        "slurm job": "ok", "slurm files": "ok", "slurm locks": "ok", "slurm code": "ok",
        "slurm GPU in a job": "ok", "slurm scratch": "ok",
    }  # fmt: skip
    assert list((tmp_path / "results").iterdir()) == []


def test_a_node_that_is_not(srun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another folder, no locks, other code, no GPU, a full disk."""
    answer = {
        "node": "n7", "here": "", "locked": False, "versions": {"python": sys.version},
        "cuda": "", "scratch": "/tmp", "free": 1000,
    }  # fmt: skip
    srun.write_text(f"#!/bin/sh\necho '{json.dumps(answer).replace(chr(10), '')}'\n")
    found = slurm_job.examine("", "gpu:1", tmp_path / "results")
    assert statuses(found) == {
        "slurm job": "ok", "slurm files": "fail", "slurm locks": "fail", "slurm code": "fail",
        "slurm GPU in a job": "warn", "slurm scratch": "warn",
    }  # fmt: skip
    details = {finding.what: finding.detail for finding in found}
    assert details["slurm code"] == "n7 has another torch, headsplat"


def test_a_job_that_does_not_run(srun: Path, tmp_path: Path) -> None:
    srun.write_text("#!/bin/sh\necho 'nothing useful'\n")
    (found,) = slurm_job.examine("", "", tmp_path / "results")
    assert found.status == "warn"
    assert "nothing useful" in found.detail
