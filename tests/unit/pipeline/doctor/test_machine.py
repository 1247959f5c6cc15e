import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.doctor import machine
from pipeline.doctor.__main__ import ROOT
from pipeline.doctor.finding import Finding
from tests.rigs import toy_rig


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


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
