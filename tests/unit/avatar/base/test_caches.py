import logging
import os
import stat
from pathlib import Path

import pytest

from avatar.base import caches
from tests.disks import read_only, small_disk


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in (*caches.VARIABLES, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return monkeypatch


def test_nothing_changes_where_code_or_home_can_be_written(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caches.use_writable_caches()
    assert not set(caches.VARIABLES) & set(os.environ)
    environment.setattr(caches, "PACKAGE", Path("/proc"))
    environment.setenv("HOME", str(tmp_path))
    caches.use_writable_caches()
    assert not set(caches.VARIABLES) & set(os.environ)


@pytest.mark.fault("M2")
def test_a_temporary_folder_of_ones_own_and_one_warning_where_neither_can(
    environment: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setattr(caches, "PACKAGE", Path("/proc"))
    with caplog.at_level(logging.WARNING):
        caches.use_writable_caches()
        caches.use_writable_caches()
    assert len(caplog.records) == 1
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert os.environ["MPLCONFIGDIR"] == str(folder)
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.fault("M2")
def test_a_folder_that_others_can_write_is_not_used(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setattr(caches, "PACKAGE", Path("/proc"))
    other = tmp_path / f"headsplat-cache-{os.getuid()}"
    other.mkdir(mode=0o777)
    other.chmod(0o777)
    caches.use_writable_caches()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) != other


@pytest.mark.fault("M2")
def test_a_choice_of_the_users_stays(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(caches, "PACKAGE", Path("/proc"))
    environment.setenv("NUMBA_CACHE_DIR", "/chosen")
    caches.use_writable_caches()
    assert os.environ["NUMBA_CACHE_DIR"] == "/chosen"
    assert "headsplat-cache" in os.environ["MPLCONFIGDIR"]


@pytest.mark.fault("M2")
def test_a_read_only_file_system_counts_as_not_writable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 * caches.ROOM >> 10) as disk:
        assert caches._can_write(disk / "deep/er")
        with read_only(disk):
            assert not caches._can_write(disk)


@pytest.mark.fault("H2")
def test_a_full_disk_counts_as_not_writable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        assert not caches._can_write(disk)
