import errno
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from avatar.base import locks
from avatar.base.errors import Busy, UserError
from tests.disks import small_disk


def _try_lock(path: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        with locks.lock(path):
            answer.put("held")
    except Busy as problem:
        answer.put(str(problem))


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with locks.lock(tmp_path / "lock"):
        process = context.Process(target=_try_lock, args=(tmp_path / "lock", answer))
        process.start()
        refused = answer.get(timeout=60)
        process.join()
    assert f"is held by process {os.getpid()} on {socket.gethostname()}: wait" in refused
    with locks.lock(tmp_path / "lock"):
        pass


def test_one_who_has_patience_waits_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "POLL", 0.05)
    held = threading.Event()

    def hold() -> None:
        with locks.lock(tmp_path / "lock") as waited:
            assert not waited
            held.set()
            time.sleep(0.3)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    with pytest.raises(Busy), locks.lock(tmp_path / "lock", patience=0.01):
        pass
    with locks.lock(tmp_path / "lock", patience=30) as waited:
        assert waited
    other.join()


@pytest.mark.fault("M1")
@pytest.mark.parametrize("kind", ["link", "broken link", "pipe", "folder"])
def test_a_lock_that_is_no_file_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "lock", tmp_path / "other"
    if kind == "link":
        other.write_text("precious")
    if "link" in kind:
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with (
        pytest.raises(UserError, match="expected the file of a lock: remove it") as caught,
        locks.lock(path),
    ):
        pass
    assert caught.value.exit_code == 2
    assert other.read_text() == "precious" if kind == "link" else not other.exists()


@pytest.mark.fault("H2")
def test_on_a_full_disk_the_lock_holds_without_a_name(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        (disk / "lock").touch()
        (disk / "filler").write_bytes(bytes(64 << 10))
        with (
            locks.lock(disk / "lock"),
            pytest.raises(Busy, match="is held by another process"),
            locks.lock(disk / "lock"),
        ):
            pass


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose `flock` is not there."""

    def flock(handle: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("fcntl.flock", flock)


def _owner_gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.fault("H9")
@pytest.mark.usefixtures("without_locks")
class TestFileSystemsWithoutLocks:
    def test_one_holds_it_and_a_second_is_told_who(self, tmp_path: Path) -> None:
        for _ in range(2):
            with (
                locks.lock(tmp_path / "lock"),
                pytest.raises(Busy, match=f"is held by process {os.getpid()} on"),
                locks.lock(tmp_path / "lock"),
            ):
                pass
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]

    def test_only_one_of_many_gets_it(self, tmp_path: Path) -> None:
        (tmp_path / "lock.held").write_text(f"process {_owner_gone()} on {socket.gethostname()} #1")
        got, leave, ready = [], threading.Event(), threading.Barrier(8)

        def attempt(number: int) -> None:
            ready.wait()
            try:
                with locks.lock(tmp_path / "lock"):
                    got.append(number)
                    leave.wait(30)
            except Busy:
                pass

        threads = [threading.Thread(target=attempt, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 30
        while sum(t.is_alive() for t in threads) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        leave.set()
        for thread in threads:
            thread.join()
        assert len(got) == 1

    def test_the_lock_of_a_process_that_has_ended_is_taken_over(self, tmp_path: Path) -> None:
        held = tmp_path / "lock.held"
        held.write_text(f"process {_owner_gone()} on {socket.gethostname()}, job 7 #abc")
        with locks.lock(tmp_path / "lock"):
            assert f"process {os.getpid()} on" in held.read_text()

    @pytest.mark.parametrize("text", ["process 1 on elsewhere #x", "", "process x on \x00"])
    def test_of_another_machine_only_one_without_signs_of_life(
        self, tmp_path: Path, text: str
    ) -> None:
        held = tmp_path / "lock.held"
        held.write_text(text)
        with pytest.raises(Busy), locks.lock(tmp_path / "lock"):
            pass
        past = time.time() - locks.STALE - 60
        os.utime(held, (past, past))
        with locks.lock(tmp_path / "lock"):
            assert held.read_text() != text

    def test_the_owner_gives_signs_of_life(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "BEAT", 0.01)
        held = tmp_path / "lock.held"
        with locks.lock(tmp_path / "lock"):
            os.utime(held, (1e9, 1e9))
            deadline = time.monotonic() + 30
            while held.stat().st_mtime < 2e9 and time.time() - held.stat().st_mtime > 1e6:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_a_lock_that_was_taken_over_is_not_removed(self, tmp_path: Path) -> None:
        with locks.lock(tmp_path / "lock"):
            (tmp_path / "lock.held").write_text("process 1 on elsewhere #other")
        assert (tmp_path / "lock.held").read_text().endswith("#other")
