"""Errors of the operating system in the user's words: full disks, rights, too little memory."""

import errno
import os
import re
import resource
import shutil
from pathlib import Path

from avatar.base.errors import UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ADVICE = {
    errno.EACCES: "change its rights, or use another folder",
    errno.EPERM: "change its rights, or use another folder",
    errno.EROFS: "use a folder that can be written to",
    errno.EEXIST: "a file is where a folder is expected: move it away",
    errno.ENOTDIR: "a file is where a folder is expected: move it away",
    errno.EISDIR: "a folder is where a file is expected: move it away",
    errno.ENOENT: "check the path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ELOOP: "a link leads back to itself: remove it",
    errno.EIO: "the device failed: check it",
    errno.ESTALE: "the network file system was lost: mount it again",
}
# Libraries that keep the number of the system's error in their text only: HDF5, Rust.
_NUMBER = re.compile(r"(?:errno = |os error )(\d+)")
_NO_MEMORY = (
    "allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "Insufficient memory",
    "failed to map segment from shared object",
    "can't start new thread",
    "bad_alloc",
)


def as_user_error(problem: BaseException) -> UserError | None:
    """What a user is told about an exception; None: it is a fault of the program."""
    if isinstance(problem, UserError):
        return problem
    if error_number(problem) in FULL:
        return no_space(problem)
    if isinstance(problem, OSError) and problem.errno != errno.ENOMEM:
        return UserError(_describe(problem))
    if is_out_of_memory(problem):
        reason = str(problem) or type(problem).__name__
        return UserError(
            f"out of memory ({reason}): close other programs, raise the limit (ulimit -v), or "
            "lower the stage's workers"
        )
    return None


def error_number(problem: BaseException) -> int | None:
    """The system's number of an error, also where a library has it in the message only."""
    number = problem.errno if isinstance(problem, OSError) else None
    found = _NUMBER.search(str(problem)) if number is None else None
    return int(found[1]) if found else number


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an exception of any library says that memory is used up."""
    if isinstance(problem, MemoryError) or error_number(problem) == errno.ENOMEM:
        return True
    return any(word in str(problem) for word in _NO_MEMORY)


def no_space(
    problem: BaseException,
    path: str | Path | None = None,
    needed: float | None = None,
    written: int = 0,
) -> UserError:
    """A disk that is full, or a limit on sizes, with what is needed and what is free.

    Args:
        path: the file that was to be written; None: not known.
        needed: bytes that it takes in all; None: not known.
        written: bytes of it that were written, and have been removed since.
    """
    number = error_number(problem)
    name = getattr(problem, "filename", None) or "a file"
    what = [f"{path or name} cannot be written: {os.strerror(number or errno.ENOSPC)}"]
    if needed:
        what.append(f"it needs about {_size(needed)}")
    elif written:
        what.append(f"it needs more than {_size(written)}")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if number == errno.EFBIG and limit != resource.RLIM_INFINITY:
        return UserError(f"{', '.join(what)}, files may have {_size(limit)}: raise ulimit -f")
    what.append(f"{_size(free_bytes(path or '.'))} are free")
    return UserError(f"{', '.join(what)}: make room and run it again")


def free_bytes(path: str | Path) -> int:
    """Free space on the file system of the nearest existing parent of `path`."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _size(count: float) -> str:
    if count >= 2**30:
        return f"{count / 2**30:.1f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _describe(problem: OSError) -> str:
    # Of a rename the second name is the one that the user knows.
    name = problem.filename2 or problem.filename
    number = error_number(problem)
    text = problem.strerror or str(problem) or type(problem).__name__
    advice = _ADVICE.get(number or 0)
    return ": ".join(str(part) for part in (name, text, advice) if part)
