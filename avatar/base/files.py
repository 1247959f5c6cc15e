"""Files: written under a temporary name, fsynced, renamed; read only if they are plain files.

A file under its final name is always complete. Imports nothing heavy.
"""

import errno
import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avatar.base import system_errors


@contextmanager
def atomic(path: str | Path, needed: Callable[[], float | None] = lambda: None) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` when the block succeeds.

    The temporary name keeps the suffix of `path` (encoders choose their format by it) and is
    removed when the block raises.

    Args:
        needed: bytes that the whole file takes, asked where the disk is full; None: not known.
    Raises:
        UserError: the disk is full, or a limit on sizes was reached.
    """
    path = Path(path)
    temporary = _temporary(path)
    written = 0
    try:
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            _fsync(temporary)
            os.replace(temporary, path)
            _fsync(path.parent)
        finally:
            written = temporary.stat().st_size if temporary.exists() else 0
            temporary.unlink(missing_ok=True)
    except Exception as problem:
        if system_errors.error_number(problem) in system_errors.FULL:
            raise system_errors.no_space(problem, path, needed(), written) from problem
        raise


def _temporary(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as problem:  # the user knows the file by its final name
        raise OSError(problem.errno, problem.strerror, str(path)) from None
    os.close(handle)
    return Path(name)


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary files that killed writers of `path` left.

    Call it only where no other process writes `path`: under its stage's lock.
    """
    path = Path(path)
    random = "[a-z0-9_]" * 8
    for leftover in path.parent.glob(f".{path.stem}.{random}{path.suffix}"):
        leftover.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raises OSError where it is no plain file, ValueError where no JSON."""
    with open_plain(path) as file:
        text = file.read().decode("utf-8")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def open_plain(path: str | Path) -> io.FileIO:
    """Open a plain file for reading; opening a named pipe would wait for its writer.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe or a device.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return io.FileIO(handle)


def sha256(path: str | Path) -> str:
    """Hex digest of a plain file."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
