"""A folder of results that is written beside the former one and swapped in when complete."""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2(2)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; when the block succeeds it takes its place.

    Until then, and for ever if the block raises or the process is killed, the former folder stays
    as it was. Call it only where no other process writes `folder`: under its stage's lock.
    """
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
    new.mkdir(parents=True)
    try:
        yield new
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`; what was there is under the name of `new` afterwards."""
    if not folder.exists():
        os.rename(new, folder)
    elif not _exchange(new, folder):
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
        os.rename(new, folder)
        os.rename(old, new)
    _fsync(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or file system cannot."""
    function = getattr(ctypes.CDLL(None), "renameat2", None)
    if function is None:
        return False
    paths = (os.fsencode(path) for path in (one, other))
    return function(_AT_FDCWD, next(paths), _AT_FDCWD, next(paths), _EXCHANGE) == 0


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
