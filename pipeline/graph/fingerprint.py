"""What a capture consists of, as one hash that is computed quickly.

Names, sizes and contents count, those that links lead to; times do not, so that a copy of a
project plans nothing, and a file replaced by an older one is noticed. Of a capture of more than
`BUDGET` bytes, blocks spread evenly over every file are read instead of all of it.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from avatar.base import files
from pipeline.capture.clutter import is_clutter

BUDGET = 256 << 20  # bytes that are read of a capture
_BLOCK = 4096


@dataclass(frozen=True)
class Contents:
    """What a capture consists of.

    Attributes:
        names: paths of its files, relative to the capture; "." for a capture that is a file.
        hash: of names, sizes and contents.
        size: bytes of all files.
    """

    names: tuple[str, ...]
    hash: str
    size: int = 0


def contents(path: Path, cache: Path | None = None) -> Contents:
    """The files of a capture, or of any other file or folder.

    Args:
        cache: file in which the hashes are kept for files whose status did not change since.
    """
    found = dict(sorted(_walk(path)))
    share = max(BUDGET // max(len(found), 1), 2 * _BLOCK)
    known = _load(cache)
    kept: dict[str, list[object]] = {}
    digest = hashlib.sha256()
    for name, status in found.items():
        key = _key(status, share)
        entry = known.get(name)
        if entry is None or entry[:-1] != key:
            entry = [*key, _file_hash(path / name, status, share)]
        kept[name] = entry
        digest.update(os.fsencode(name) + f"\0{key[0]}\0{entry[-1]}\n".encode())
    if kept != known:
        _save(cache, kept)
    size = sum(status.st_size for status in found.values() if status)
    return Contents(tuple(found), digest.hexdigest()[:16], size)


def _walk(path: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Name and status of every file; links are followed, but not in circles."""
    status = _status(path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        yield ".", status
        return
    waiting = [("", frozenset({(status.st_dev, status.st_ino)}))]
    while waiting:
        folder, above = waiting.pop()
        for entry in _entries(path / folder):
            name = f"{folder}/{entry}" if folder else entry
            status = _status(path / name)
            if status is None or not stat.S_ISDIR(status.st_mode):
                yield name, status
            elif (here := (status.st_dev, status.st_ino)) not in above:
                waiting.append((name, above | {here}))


def _entries(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not is_clutter(name)]
    except OSError:
        return []


def _status(path: Path) -> os.stat_result | None:
    """None for what cannot be reached: a broken link, a circle of links."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _key(status: os.stat_result | None, share: int) -> list[object]:
    """What tells that a file is the same as when it was last read."""
    if status is None:
        return [None]
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, share]


def _file_hash(path: Path, status: os.stat_result | None, share: int) -> str:
    if status is None or not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        return "no file"
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb", buffering=0) as file:
            for start, length in _pieces(status.st_size, share):
                file.seek(start)
                while length > 0 and (data := file.read(min(length, 1 << 20))):
                    digest.update(data)
                    length -= len(data)
    except OSError:
        return "unreadable"
    return digest.hexdigest()


def _pieces(size: int, share: int) -> Iterator[tuple[int, int]]:
    """Start and length of what is read: everything, or blocks from the first to the last."""
    if size <= share:
        yield 0, size
        return
    count = share // _BLOCK
    for number in range(count):
        yield (size - _BLOCK) * number // (count - 1), _BLOCK


def _load(cache: Path | None) -> dict[str, list[object]]:
    try:
        value = files.read_json(cache) if cache else {}
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: entry for name, entry in value.items() if isinstance(entry, list)}


def _save(cache: Path | None, kept: dict[str, list[object]]) -> None:
    """Without the cache all is read again, which costs time only."""
    if cache is None:
        return
    with suppress(OSError):
        files.write_text(cache, json.dumps(kept))
