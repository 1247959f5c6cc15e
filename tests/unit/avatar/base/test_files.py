import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from avatar.base import files
from avatar.base.errors import Busy


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


def _try_lock(path: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        with files.lock(path):
            answer.put("held")
    except Busy as problem:
        answer.put(str(problem))


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with files.lock(tmp_path / "lock"):
        process = context.Process(target=_try_lock, args=(tmp_path / "lock", answer))
        process.start()
        refused = answer.get(timeout=60)
        process.join()
    assert "is held by process" in refused
    with files.lock(tmp_path / "lock"):
        pass


@pytest.mark.fault("L7")
def test_only_a_plain_file_is_opened_and_nothing_waits(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"abc")
    with files.open_plain(tmp_path / "plain") as file:
        assert file.read() == b"abc"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(OSError, match="it is not a plain file"):
            files.open_plain(path)
    with pytest.raises(FileNotFoundError):
        files.open_plain(tmp_path / "none")
