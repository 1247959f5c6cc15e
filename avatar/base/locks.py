"""One process at a time: locks that work on every file system."""

import errno
import fcntl
import logging
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from avatar.base.errors import Busy, UserError

log = logging.getLogger(__name__)

# Of `flock` where the file system has no locks: some NFS, Lustre and FUSE mounts.
_NO_LOCKS = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF}
)
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
BEAT = 30.0  # seconds between two signs of life of an owner file
STALE = 600.0  # seconds without one after which the owner on another machine is gone
POLL = 5.0  # seconds between two tries


@contextmanager
def lock(path: str | Path, patience: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive lock on `path` for the block; yields whether it had to wait.

    Where the file system has no locks, `<path>.held` stands for it while its owner touches it.

    Args:
        patience: seconds to wait for another process that holds it.
    Raises:
        Busy: another process holds it; the message names the owner.
        UserError: `path` is a link, a folder or anything else but a file.
    """
    end, waited = time.monotonic() + patience, False
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(_lock(Path(path)))
                break
            except Busy as busy:
                if time.monotonic() + POLL > end:
                    raise
                if not waited:
                    log.info("waiting: %s", busy)
            waited = True
            time.sleep(POLL)
        yield waited


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _open(path)
    try:
        if _flock(handle, path):
            _write_owner(handle)
            yield
        else:
            with _held(path, handle):
                yield
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    """A handle of the lock's file; nothing is ever written through a link."""
    with suppress(OSError):
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
            raise UserError(f"{path} is {kind}, expected the file of a lock: remove it")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def _flock(handle: int, path: Path) -> bool:
    """Take the lock; False: there are none on this file system."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in _TAKEN:
            raise _busy(path, os.pread(handle, 4096, 0).decode(errors="replace")) from None
        if problem.errno in _NO_LOCKS:
            return False
        raise
    return True


def _busy(path: Path, owner: str) -> Busy:
    owner = owner.strip().partition(" #")[0] or "another process"
    return Busy(f"{path} is held by {owner}: wait for it to finish and run again")


def _owner() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}" + (f", job {job}" if job else "")


def _write_owner(handle: int) -> None:
    with suppress(OSError):  # a full disk: the lock holds without its owner's name
        os.ftruncate(handle, 0)
        os.pwrite(handle, _owner().encode(), 0)


@contextmanager
def _held(path: Path, handle: int) -> Iterator[None]:
    """The lock of file systems without locks: a file that only one process can create."""
    held = path.with_name(f"{path.name}.held")
    text = f"{_owner()} #{secrets.token_hex(8)}"
    if not _create(held, text) and not _take_over(held, text, handle):
        raise _busy(path, _read(held))
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(held, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        if _read(held) == text:
            held.unlink(missing_ok=True)


def _create(held: Path, text: str) -> bool:
    try:
        handle = os.open(held, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def _read(held: Path) -> str:
    try:
        return held.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _beat(held: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(held)


def _take_over(held: Path, text: str, handle: int) -> bool:
    """Replace an owner file whose owner is gone, one process at a time; whether it was."""
    if not _is_abandoned(held, handle):
        return False
    guard = held.with_name(f"{held.name}.guard")
    if not _create(guard, text):
        if _age(guard, handle) > STALE:  # its process was killed in the lines below
            guard.unlink(missing_ok=True)
        return False
    try:
        if not _is_abandoned(held, handle):  # another process was quicker
            return False
        held.unlink(missing_ok=True)
        return _create(held, text)
    finally:
        guard.unlink(missing_ok=True)


def _is_abandoned(held: Path, handle: int) -> bool:
    words = _read(held).replace(",", " ").split()
    here = len(words) >= 4 and words[0] == "process" and words[3] == socket.gethostname()
    if here and words[1].isdigit():
        return not _is_running(int(words[1]))
    return _age(held, handle) > STALE


def _age(path: Path, handle: int) -> float:
    """Seconds since a file was touched, by the clock of its file system."""
    os.utime(handle)
    try:
        return os.fstat(handle).st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
