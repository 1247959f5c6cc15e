import shutil
from pathlib import Path

import pytest

from pipeline.doctor import slurm
from pipeline.doctor.__main__ import ROOT
from pipeline.doctor.finding import Finding
from tests.workflow.conftest import without_gpus

PROFILE = ROOT / "profiles" / "slurm" / "config.yaml"


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH without Slurm: all it has is `which`, which the executor plugin calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "which").symlink_to(shutil.which("which") or "which")
    monkeypatch.setenv("PATH", str(folder))
    return folder


NODES = "cpu*|(null)|16000|1-00:00:00\\ngpu|gpu:h200:4(S:0-1)|64000|infinite"


@pytest.fixture
def cluster(path: Path):
    """Slurm's programs on the PATH; returns a function that sets their output."""

    def says(name: str, script: str) -> None:
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)

    for name in slurm.COMMANDS:
        says(name, "exit 0")
    says("sinfo", f'[ "$2" = --format=%P ] && echo "cpu*\ngpu" || echo "{NODES}"')
    says("scontrol", "echo 'ClusterName = toy\nAccountingStorageType  = accounting_storage/none'")
    says("srun", "echo 'srun: error: Unable to allocate resources' >&2; exit 1")
    return says


def test_without_slurm(path: Path, tmp_path: Path) -> None:
    findings = by_name(slurm.examine(PROFILE, tmp_path / "results"))
    assert findings["slurm executor"].status == "ok"
    assert findings["slurm commands"].status == "fail"
    assert "sbatch" in findings["slurm commands"].detail


def test_the_profile_is_that_of_the_working_folder(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = by_name(slurm.examine(slurm.PROFILE, tmp_path / "results"))
    assert found["slurm profile"].status == "fail"
    assert found["slurm profile"].remedy == "run in the folder in which Snakemake is started"
    (tmp_path / "profiles/slurm").mkdir(parents=True)
    (tmp_path / slurm.PROFILE).write_text("default-resources: {slurm_partition: mine}")
    found = by_name(slurm.examine(slurm.PROFILE, tmp_path / "results"))
    assert found["slurm partitions"].detail.startswith("the profile names mine, ")


def test_a_cluster_without_gpus_is_named_before_anything_is_submitted(
    cluster, tmp_path: Path
) -> None:
    """And without the lines that the documentation names, it is well."""
    found = by_name(slurm.examine(PROFILE, tmp_path / "results"))
    assert found["slurm queries"].detail.startswith("accounting is off")
    assert found["slurm GPUs"].status == "fail"
    assert found["slurm GPUs"].detail == (
        "refine asks for gpu:1 in partition default, whose nodes have none"
    )
    assert "slurm job" not in found
    without = tmp_path / "config.yaml"
    without.write_text(without_gpus(PROFILE.read_text()))
    found = by_name(slurm.examine(without, tmp_path / "results"))
    assert found["slurm GPUs"].status == "ok"
    assert found["slurm limits"].status == "ok"
    assert found["slurm job"].detail == "srun failed: srun: error: Unable to allocate resources"
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize(
    ("train", "detail"),
    [
        ({"gres": "'gpu:h200:4'", "slurm_partition": "gpu"}, ""),
        ({"gres": "'gpu:h200:5'", "slurm_partition": "gpu"}, "train asks for gpu:h200:5"),
        ({"gres": "'gpu:a100:1'", "slurm_partition": "gpu"}, "train asks for gpu:a100:1"),
        ({"mem_mb": "20000 * attempt"}, "train asks for 20000 MB, the nodes of partition default"),
        ({"runtime": 2000}, "train asks for 2000 minutes, partition default allows 1440"),
        ({"runtime": 9000, "slurm_partition": "gpu"}, ""),
    ],
)
def test_what_the_profile_asks_for_is_compared_with_the_nodes(
    cluster, train: dict, detail: str
) -> None:
    jobs, nodes = slurm.asked({"set-resources": {"train": train}}), slurm.cluster_nodes()
    found = [slurm.gpus(jobs, nodes), slurm.limits(jobs, nodes)]
    failed = [finding.detail for finding in found if finding.status == "fail"]
    assert [text[: len(detail)] for text in failed] == ([detail] if detail else [])


def test_inside_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert slurm.inside_a_job().status == "ok"
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert slurm.inside_a_job().status == "warn"
    assert slurm.inside_a_job().remedy.endswith("unset ${!SLURM_@} ${!SBATCH_@} ${!SRUN_@}")


@pytest.mark.parametrize(
    ("storage", "by", "status"),
    [
        ("accounting_storage/none", "sacct", "fail"),
        ("accounting_storage/slurmdbd", "sacct", "ok"),
        ("(null)", None, "fail"),
        ("accounting_storage/none", "squeue", "ok"),
    ],
)
def test_queries(cluster, storage: str, by: str | None, status: str) -> None:
    cluster("scontrol", f"echo 'AccountingStorageType  = {storage}'")
    settings = {"slurm-status-command": by} if by else {}
    assert slurm.queries(settings).status == status


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, "ok"),  # the default
        ({"default-resources": {"slurm_partition": "cpu"}}, "ok"),
        ({"set-resources": {"train": {"slurm_partition": "'gpu'"}}}, "ok"),
        ({"set-resources": {"train": {"slurm_partition": "a100"}}}, "fail"),
    ],
)
def test_partitions(cluster, settings: dict, status: str) -> None:
    assert slurm.partitions(settings).status == status


def test_no_partition_named_and_no_default(cluster) -> None:
    cluster("sinfo", "echo 'cpu\ngpu'")
    assert slurm.partitions({}).detail == (
        "the profile names none and there is no default; the cluster has cpu, gpu"
    )


def test_a_scheduler_that_does_not_answer(cluster) -> None:
    told = "slurm_load_partitions: Unable to contact slurm controller (connect failure)"
    cluster("sinfo", f"echo '{told}' >&2; exit 1")
    assert slurm.partitions({}).detail == f"sinfo failed: {told}"
