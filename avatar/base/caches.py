"""Folders in which libraries keep what they compiled, where the usual ones cannot be written."""

import logging
import os
import stat
import tempfile
from pathlib import Path

from avatar.base import system_errors

ROOM = 32 << 20  # bytes that compiled code takes, and some more

log = logging.getLogger(__name__)
PACKAGE = Path(__file__).resolve().parents[1]
# Of Numba and matplotlib; both are read when the library is imported.
VARIABLES = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")


def use_writable_caches() -> None:
    """Point libraries to a temporary folder where neither code nor home folder can be written.

    Numba would refuse to compile there. Child processes inherit the choice.
    """
    missing = [name for name in VARIABLES if name not in os.environ]
    if not missing or _can_write(PACKAGE / "render") or _can_write(_user_cache()):
        return
    folder = _temporary_folder()
    for name in missing:
        os.environ[name] = str(folder)
    log.warning(
        "neither %s nor %s can be written to: compiled code is kept in %s",
        PACKAGE, _user_cache(), folder,
    )  # fmt: skip


def _user_cache() -> Path:
    """Where Numba looks for a user's cache on Linux."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache")


def _can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder can be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return system_errors.free_bytes(folder) > ROOM
    except OSError:
        return False


def _temporary_folder() -> Path:
    """A folder that only this user can write, kept between runs where it can be."""
    folder = Path(tempfile.gettempdir()) / f"headsplat-cache-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="headsplat-cache-"))
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not private or stat.S_IMODE(found.st_mode) & 0o022:
        return Path(tempfile.mkdtemp(prefix="headsplat-cache-"))
    return folder
