"""Each process its own GPU; the GPUs here are folders, as the driver lists them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatar.base import gpus

HOLDER = """
import os, sys, time
from pathlib import Path
from avatar.base import gpus
with gpus.own_gpu(Path(sys.argv[1]), Path(sys.argv[2])):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    time.sleep(600)
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs."""
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setattr(gpus, "POLL", 0.05)
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "driver" / name).mkdir(parents=True)
    return tmp_path / "driver"


def test_each_process_has_its_own_and_a_killed_one_leaves_it(driver: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(driver), str(tmp_path / "locks")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "0\n"
            with gpus.own_gpu(driver, tmp_path / "locks"):
                assert os.environ[gpus.VARIABLE] == "1"
            assert gpus.VARIABLE not in os.environ
        finally:
            other.kill()
    with gpus.own_gpu(driver, tmp_path / "locks"):
        assert os.environ[gpus.VARIABLE] == "0"


def test_what_a_scheduler_gave_stays(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "3")
    with gpus.own_gpu(driver, tmp_path / "locks"):
        assert os.environ[gpus.VARIABLE] == "3"
    assert not (tmp_path / "locks").exists()


def test_one_gpu_needs_no_lock(tmp_path: Path, driver: Path) -> None:
    (driver / "0000:02:00.0").rmdir()
    with gpus.own_gpu(driver, tmp_path / "locks"):
        assert gpus.VARIABLE not in os.environ
