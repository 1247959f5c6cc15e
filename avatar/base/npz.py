"""Npz files: written whole, and read although somebody else may have written them.

`numpy.load` allocates what an array's header claims, 10^12 numbers too, before it reads any. Here
only the arrays asked for are read, after the sizes that they claim have been compared
with a limit and with the archive's directory.
"""

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from avatar.base import files
from avatar.base.errors import UserError

MOST_BYTES = 1 << 28  # of all arrays together that one call reads
PLAIN = "an npz file of plain arrays"
KINDS = "biufUS"  # NumPy's kinds of plain numbers and text
_READ = 1 << 20  # bytes, at most, of one read: an archive's directory has to fit too
_DIMENSIONS = 8
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, OverflowError, RuntimeError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, compressed, atomically and without pickles.

    Raises:
        UserError: the disk is full, or a limit on sizes was reached.
    """
    # NumPy's archive cannot be closed on a full disk: it is finished before the disk sees it.
    archive = io.BytesIO()
    np.savez_compressed(archive, **arrays)
    size = archive.tell()
    with files.atomic(path, lambda: size) as temporary:
        temporary.write_bytes(archive.getbuffer())


def read(
    path: str | Path,
    names: Collection[str],
    remedy: str,
    what: str = PLAIN,
    most: int = MOST_BYTES,
) -> dict[str, np.ndarray]:
    """The arrays of an npz file that are asked for and there.

    Args:
        path: the file.
        names: arrays to read; all others are left alone, whatever they are.
        remedy: what the user should do; ends every message.
        what: what the file should be, for the message.
        most: bytes that the arrays may have together.
    Raises:
        UserError: absent, no plain file, damaged, or an array that is not plain numbers or text,
            or larger than the limit.
    """
    with _opened(path, remedy, what) as archive:
        arrays: dict[str, np.ndarray] = {}
        for name in names:
            if f"{name}.npy" in archive.NameToInfo:
                arrays[name] = _read_array(archive, name, most)
                most -= arrays[name].nbytes
        return arrays


def names_in(path: str | Path, remedy: str, what: str = PLAIN) -> list[str]:
    """Names of an npz file's arrays; raises as `read` does."""
    with _opened(path, remedy, what) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


class _BoundedReads:
    """A file of which no read is large, because an archive's directory is read in one."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = max(0, os.fstat(self._file.fileno()).st_size - self.tell())
        if size > _READ:
            raise ValueError("the archive's directory is too large")
        return self._file.read(size)


@contextmanager
def _opened(path: str | Path, remedy: str, what: str) -> Iterator[zipfile.ZipFile]:
    try:
        with files.open_plain(path) as file:
            yield zipfile.ZipFile(_BoundedReads(file))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {remedy}") from None
    except _DAMAGE as problem:
        reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        raise UserError(f"{path} is not {what} ({reason}): {remedy}") from None


def _read_array(archive: zipfile.ZipFile, name: str, most: int) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _COMPRESSIONS:
        raise ValueError(f"{name} is encrypted, or compressed in another way than NumPy's")
    with archive.open(info) as stream:
        # Versions above 1.0 are for records and for headers of more than 64 KiB.
        if npy.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} is not plain numbers or text")
        try:
            shape, fortran, dtype = npy.read_array_header_1_0(stream)
        except Exception:  # its text goes through Python's parser, which fails in many ways
            raise ValueError(f"the header of {name} is damaged") from None
        if dtype.kind not in KINDS or len(shape) > _DIMENSIONS:
            raise ValueError(f"{name} is not plain numbers or text")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size > most:
            raise ValueError(f"{name} claims {shape} {dtype}, more than is read of such a file")
        if size > info.file_size:
            raise ValueError(f"{name} claims {shape} {dtype}, more than the file holds")
        data = bytearray()
        while len(data) < size and (piece := stream.read(min(_READ, size - len(data)))):
            data += piece
        if len(data) < size or stream.read(1):  # the end's read compares the checksum
            raise ValueError(f"{name} has another length than its header claims")
    return np.ndarray(shape, dtype, data, order="F" if fortran else "C")
