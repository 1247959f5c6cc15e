"""`headsplat doctor --slurm` on a cluster, and what a run says where it was not asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.doctor import slurm as doctor
from tests.cluster.conftest import SUBJECT, Start, ask
from tests.cluster.toy_slurm import ToySlurm
from tests.workflow.conftest import without_gpus

WITHOUT_GPUS = pytest.mark.parametrize("cluster", ["cgroup-no_gpus"], indirect=True)


def preflight(project: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("headsplat"), "doctor", "--slurm"]
    return subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=300, check=False
    )


def failed(project: Path) -> dict[str, str]:
    """What the preflight says against the project's profile."""
    found = doctor.examine(project / doctor.PROFILE, project / "results")
    return {finding.what: finding.detail for finding in found if finding.status == "fail"}


def test_all_is_well(slurm: ToySlurm, packed: Path) -> None:
    done = preflight(packed)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"^(\w+) +(slurm .*?)  ", done.stdout, re.MULTILINE)
    found = {what: status for status, what in lines}
    assert {"slurm GPUs", "slurm limits", "slurm files", "slurm locks", "slurm code"} <= set(found)
    assert [what for what in found if found[what] != "ok"] == ["slurm GPU in a job"]


@pytest.mark.parametrize(
    ("asked", "what", "detail"),
    [
        ({"slurm_partition": "h100"}, "slurm partitions", "the profile names h100, the cluster"),
        ({"mem_mb": "20000 * attempt"}, "slurm limits", "train asks for 20000 MB, the nodes of"),
        ({"runtime": 3000}, "slurm limits", "train asks for 3000 minutes, partition default"),
        ({"gres": "'gpu:a100:1'"}, "slurm GPUs", "train asks for gpu:a100:1 in partition"),
    ],
)
def test_what_the_cluster_has_not(
    slurm: ToySlurm, packed: Path, asked: dict, what: str, detail: str
) -> None:
    ask(packed, **asked)
    found = failed(packed)
    assert list(found) == [what]
    assert found[what].startswith(detail)
    assert slurm.jobs() == [], "nothing was submitted"


@WITHOUT_GPUS
def test_no_gpus(slurm: ToySlurm, packed: Path, start: Start) -> None:
    done = preflight(packed)
    assert done.returncode == 2
    assert done.stderr.rstrip().splitlines()[-1].startswith("error: ")
    assert "refine asks for gpu:1 in partition default, whose nodes have none" in done.stdout
    assert slurm.jobs() == []
    run = start(packed, "--profile", "slurm", SUBJECT)
    assert run.wait() == 1
    assert run.last_line.startswith(f"{SUBJECT}/train: Slurm refused the job (sbatch: error: ")
    assert "Invalid generic resource (gres) specification): run 'headsplat doctor" in run.last_line
    profile = packed / doctor.PROFILE
    profile.write_text(without_gpus(profile.read_text()))
    done = preflight(packed)
    assert done.returncode == 0, done.stdout + done.stderr
    run = start(packed, "--profile", "slurm", SUBJECT, "--until", "train")
    assert run.wait() == 0, run.text
