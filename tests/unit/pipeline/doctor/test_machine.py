import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from pipeline.doctor import gpu, machine, slurm
from pipeline.doctor.__main__ import ROOT, examine, main
from pipeline.doctor.finding import Finding, table
from tests.rigs import toy_rig

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


def test_the_table_aligns_and_tells_what_to_do() -> None:
    rows = [Finding("disk", "ok", "70 GiB"), Finding("libraries", "fail", "none", "apt-get")]
    assert table(rows).splitlines() == [
        "ok    disk       70 GiB",
        "fail  libraries  none",
        "                 -> apt-get",
    ]


def test_this_machine_can_run_what_its_tests_run(tmp_path: Path) -> None:
    findings = by_name(examine(tmp_path / "results"))
    assert {"python", "torch", "gsplat", "numba cache", "disk", "cores"} <= findings.keys()
    for name in ("libraries", "mediapipe import", "rig"):
        assert findings[name].status == "ok", name
    assert findings["cores"].detail.startswith(f"{len(os.sched_getaffinity(0))} of ")
    assert not (tmp_path / "results").exists()


def test_versions_against_the_lock(tmp_path: Path) -> None:
    numpy, torch_ = metadata.version("numpy"), metadata.version("torch").split("+")[0]
    lock = tmp_path / "requirements.lock"
    pins = ["numpy==0.0.1", f"torch=={torch_}", "pytest==0.0.2", "no-such-one==3"]
    lock.write_text("\n".join(["# a comment, with ==", *pins]))
    found = by_name(machine.packages(lock))
    assert found["torch"].status == "ok"
    assert found["numpy"] == Finding(
        "numpy", "warn", f"{numpy}, the lock has 0.0.1", "make clean setup"
    )
    assert found["pytest"].detail == f"{metadata.version('pytest')}, the lock has 0.0.2"
    assert found["no-such-one"].detail == "not installed, the lock has 3"
    assert found["numba"].detail.endswith("the lock has none")


def test_what_the_lock_pins_is_not_listed_where_it_is_installed() -> None:
    found = by_name(machine.packages(ROOT / "requirements.lock"))
    assert list(found)[: len(machine.PACKAGES)] == list(machine.PACKAGES)
    assert all(found[name].status != "ok" for name in set(found) - set(machine.PACKAGES))


def test_without_a_lock_nothing_is_compared(tmp_path: Path) -> None:
    (finding,) = machine.packages(tmp_path / "requirements.lock")
    assert finding.status == "warn"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LIBRARIES", {"libnowhere.so.9": "libnowhere9"})
    assert machine.libraries().status == "fail"
    assert machine.libraries().remedy == "apt-get install -y libnowhere9"


def numba_cache_in(folder: Path) -> str:
    """What is found by a process whose NUMBA_CACHE_DIR is `folder`."""
    code = (
        "from pipeline.doctor.machine import numba_cache as n; f = n(); print(f.status, f.detail)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


def test_numba_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unwritable, good = tmp_path / "file" / "cache", tmp_path / "cache"
    told = numba_cache_in(unwritable)
    assert told.startswith(f"warn NUMBA_CACHE_DIR={unwritable} cannot be written, ")
    assert told.endswith(" is used instead")
    assert numba_cache_in(good) == f"ok {good}"


def test_disk_is_measured_where_results_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine.disk(tmp_path / "a" / "b").detail.endswith(f"free in {tmp_path}")
    monkeypatch.setattr(machine, "LEAST_DISK", 1 << 60)
    monkeypatch.setattr(machine, "GOOD_DISK", 1 << 60)
    assert machine.disk(tmp_path).status == "fail"


def test_rigs_are_read(tmp_path: Path) -> None:
    assert machine.rigs(tmp_path).detail.startswith("none baked yet")
    toy_rig().save(tmp_path / "rigs" / "toy.npz")
    assert machine.rigs(tmp_path).detail == "toy (294 vertices)"
    (tmp_path / "rigs" / "worn.npz").write_bytes(b"PK\x03\x04 worn")
    assert machine.rigs(tmp_path).status == "fail"
    assert "worn.npz is not a rig's npz file" in machine.rigs(tmp_path).detail


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_a_renderer_is_compared_with_the_reference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpu.backend(name).status == "ok"
    monkeypatch.setattr(gpu, "IMAGE_LIMIT", 0.0)
    assert gpu.backend(name).status == "fail"
    assert "off the reference" in gpu.backend(name).detail


@NO_CUDA
def test_why_there_is_no_gpu() -> None:
    findings = by_name(gpu.examine())
    assert {name: f.status for name, f in findings.items() if name != "nvcc"} == {
        "cuda": "fail",
        "backend reference": "ok",
        "backend cpu": "ok",
        "backend gsplat": "fail",
        "cpu kernels": "ok",
    }
    reason = "is built without CUDA" if torch.version.cuda is None else "sees no CUDA device"
    assert reason in findings["cuda"].detail
    assert reason in findings["backend gsplat"].detail


@pytest.mark.gpu
def test_gpu_works() -> None:
    findings = by_name(gpu.examine())
    assert torch.cuda.get_device_name() in findings["cuda"].detail
    assert findings["backend gsplat"].status == "ok", findings["backend gsplat"].detail


PROFILE = ROOT / "profiles" / "slurm" / "config.yaml"


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
    """Slurm's programs on the PATH; returns how to set what they say."""

    def says(name: str, script: str) -> None:
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)

    for name in slurm.COMMANDS:
        says(name, "exit 0")
    says("sinfo", "echo 'cpu*\ngpu'")
    says("scontrol", "echo 'ClusterName = toy\nAccountingStorageType  = accounting_storage/none'")
    return says


def test_no_slurm_here(path: Path) -> None:
    findings = by_name(slurm.examine(PROFILE))
    assert findings["slurm executor"].status == "ok"
    assert findings["slurm commands"].status == "fail"
    assert "sbatch" in findings["slurm commands"].detail


def test_our_profile_needs_no_accounting(cluster) -> None:
    found = slurm.examine(PROFILE)
    assert [f.status for f in found if f.what != "slurm partitions"] == ["ok"] * 3
    assert by_name(found)["slurm accounting"].detail == (
        "off (accounting_storage/none); the profile asks squeue"
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


def test_the_command_fails_with_one_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--results", str(tmp_path)]
    assert main(arguments) == 0
    assert "ok    libraries" in capsys.readouterr().out
    assert main([*arguments, "--slurm"]) == 2
    told = capsys.readouterr()
    assert "fail  slurm commands" in told.out
    assert told.err.startswith("error: 1 of ")
    assert told.err.endswith("checks failed: slurm commands: see above\n")
