import shutil
from pathlib import Path

import pytest

from pipeline.doctor import slurm
from pipeline.doctor.__main__ import ROOT
from pipeline.doctor.finding import Finding

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


@pytest.fixture
def cluster(path: Path):
    """Slurm's programs on the PATH; returns a function that sets their output."""

    def says(name: str, script: str) -> None:
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)

    for name in slurm.COMMANDS:
        says(name, "exit 0")
    says("sinfo", "echo 'cpu*\ngpu'")
    says("scontrol", "echo 'ClusterName = toy\nAccountingStorageType  = accounting_storage/none'")
    return says


def test_without_slurm(path: Path) -> None:
    findings = by_name(slurm.examine(PROFILE))
    assert findings["slurm executor"].status == "ok"
    assert findings["slurm commands"].status == "fail"
    assert "sbatch" in findings["slurm commands"].detail


def test_our_profile_needs_no_accounting(cluster) -> None:
    found = slurm.examine(PROFILE)
    assert [f.status for f in found if f.what != "slurm partitions"] == ["ok"] * 3
    assert by_name(found)["slurm accounting"].detail == (
        "off (accounting_storage/none); the profile uses squeue"
    )


@pytest.mark.parametrize(
    ("storage", "by", "status"),
    [
        ("accounting_storage/none", "sacct", "fail"),
        ("accounting_storage/slurmdbd", "sacct", "ok"),
        ("(null)", None, "fail"),
        ("accounting_storage/none", "squeue", "ok"),
    ],
)
def test_accounting(cluster, storage: str, by: str | None, status: str) -> None:
    cluster("scontrol", f"echo 'AccountingStorageType  = {storage}'")
    settings = {"slurm-status-command": by} if by else {}
    assert slurm.accounting(settings).status == status


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
