import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from avatar.base import files
from avatar.base.errors import UserError
from tests.disks import file_size_limit, small_disk


def test_atomic_write_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with files.atomic(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "file.mp4"
    target.write_text("old")

    def write_half() -> None:
        with files.atomic(target) as temporary:
            assert temporary.suffix == ".mp4"
            temporary.write_text("half")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write_half()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.mp4"]


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes[0] == modes[1]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"x": 1}


def test_sha256_of_the_standard_vector(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def _bytes(path: Path, needed: Callable[[], float | None] = lambda: None) -> None:
    with files.atomic(path, needed) as temporary:
        temporary.write_bytes(bytes(1 << 20))


@pytest.mark.fault("H2")
@pytest.mark.parametrize(
    "write",
    [
        _bytes,
        lambda path: files.write_text(path, "x" * (1 << 20)),
        lambda path: files.write_json(path, ["x"] * (1 << 18)),
    ],
)
@pytest.mark.parametrize("name", ["old", "new/er/file"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, write: Callable[[Path], None], name: str
) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        (disk / "old").write_text("old")
        with pytest.raises(UserError, match=r"cannot be written.*iB are free: make room"):
            write(disk / name)
        assert (disk / "old").read_text() == "old"
        assert not list(disk.rglob(".*"))


@pytest.mark.fault("H2")
def test_the_needed_space_is_what_the_writer_says(tmp_path: Path) -> None:
    with file_size_limit(1 << 16):
        with pytest.raises(UserError, match=r"it needs about 5\.0 MiB, files may have 64\.0 KiB"):
            _bytes(tmp_path / "a", lambda: 5 << 20)
        with pytest.raises(UserError, match=r"it needs more than 64\.0 KiB"):
            _bytes(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_named_by_the_final_file(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(OSError, match=r"results/anna/index\.json") as caught:
        files.write_json(tmp_path / "results/anna/index.json", {})
    assert caught.value.errno == errno.ENOTDIR


@pytest.mark.fault("L7")
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to a pipe"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    for read in (files.read_json, files.sha256, files.open_plain):
        with pytest.raises(OSError, match="it is not a plain file"):
            read(path)


@pytest.mark.fault("L1")
def test_deep_nesting_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        files.read_json(tmp_path / "a")


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[1]")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert files.read_json(tmp_path / "b") == [1]
    with files.open_plain(tmp_path / "b") as file:
        assert file.read() == b"[1]"
    with pytest.raises(FileNotFoundError):
        files.open_plain(tmp_path / "none")
