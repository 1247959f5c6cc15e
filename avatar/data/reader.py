"""Read the HDF5 files of a subject: tables, and frames by row.

Every byte is checked: blobs by their crc32 at every read, all other arrays by their fletcher32.
Any number of threads and processes may read a file, also one opened before a fork.
"""

import os
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar.base.arrays import check
from avatar.base.errors import UserError
from avatar.base.memory import keep_freed_memory
from avatar.data import bounded, hdf5, jpeg, png
from avatar.data.layout import (
    ALPHA,
    IMAGE,
    PIECE,
    SCHEMA_VERSION,
    SPECS,
    TABLES,
    Tables,
    attributes_crc32,
    check_tables,
)

Row = int | np.integer
# Of one channel: offsets [M+1], crc32 [M] of its rows; where in the file each of its pieces lies.
_Channel = tuple[np.ndarray, np.ndarray, np.ndarray]
S = TypeVar("S", bound="Store")


class Store:
    """Tables and raw blobs of a file; subclasses name the channels."""

    camera_ids: list[str]
    sizes: Int[np.ndarray, "C 2"]
    sequence: np.ndarray
    index: Int[np.ndarray, "T"]
    time: Float[np.ndarray, "T"]
    camera: Int[np.ndarray, "M"]
    timestep: Int[np.ndarray, "M"]

    def __init__(self, path: str | Path) -> None:
        """Open a file and read its tables.

        Raises:
            UserError: absent, not a file of this layout and version, or damaged.
            Busy: another program has it open for writing.
        """
        # A decoded frame is some megabytes, soon freed: fetched from the kernel anew for each,
        # their pages cost more than the decoding.
        keep_freed_memory(1 << 26, 1 << 28)
        self.path = Path(path)
        self._file = hdf5.open_reading(self.path)
        # Blobs are read past HDF5: a tenth of the time, no lock, and safe in a forked process.
        self._bytes = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._channels: dict[str, _Channel] = {}
        try:
            self._read_tables()
        except BaseException:
            self.close()
            raise

    def _read_tables(self) -> None:
        if not bounded.has_attribute(self._file, "schema_version"):
            raise UserError(
                f"{self.path} is not a file of headsplat: give another or make it again"
            )
        version = self.attrs["schema_version"]
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{self.path}: schema_version is {version}, expected {SCHEMA_VERSION}: "
                "make it again with this version of headsplat"
            )
        arrays = {name: self.array(*name.split("/")) for name in TABLES}
        try:
            check_tables(arrays)
        except ValueError as problem:
            raise UserError(f"{self.path}: {problem}: make it again") from None
        self.camera_ids = arrays["cameras/id"].tolist()
        self.sizes = arrays["cameras/size"]
        self.sequence = arrays["timesteps/sequence"]
        self.index = arrays["timesteps/index"]
        self.time = arrays["timesteps/time"]
        self.camera = arrays["frames/camera"]
        self.timestep = arrays["frames/timestep"]
        self._rows = np.full((len(self.sequence), len(self.camera_ids)), -1, np.int64)
        self._rows[self.timestep, self.camera] = np.arange(len(self.camera))

    def __len__(self) -> int:
        return len(self.camera)

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._bytes >= 0:
            os.close(self._bytes)
            self._bytes = -1

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        return type(self), (self.path,)  # a process that gets a copy opens the file itself

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the file: text and numbers."""
        try:
            values = bounded.attributes(self._file)
            if values.get("attributes_crc32") != attributes_crc32(values):
                raise ValueError("they do not match their checksum")
            return {
                name: value.decode() if isinstance(value, bytes) else value.item()
                for name, value in values.items()
            }
        except ValueError as problem:
            raise UserError(
                f"{self.path}: the attributes are damaged ({problem}): make it again"
            ) from None

    @property
    def tables(self) -> Tables:
        """The tables of the file, as a writer takes them."""
        return Tables(
            self.camera_ids,
            self.sizes,
            self.sequence,
            self.index,
            self.time,
            self.camera,
            self.timestep,
        )

    def row(self, timestep: Row, camera: Row) -> int:
        """The row of a frame, -1 where there is none."""
        return int(self._rows[timestep, camera])

    def describe(self, row: Row) -> str:
        """A frame in words, for messages."""
        timestep = self.timestep[row]
        return (
            f"sequence {self.sequence[timestep]} index {self.index[timestep]} "
            f"camera {self.camera_ids[self.camera[row]]}"
        )

    def arrays(self, group: str) -> list[str]:
        """Names under `/<group>`, sorted; none where the group is absent.

        Raises:
            UserError: the group is damaged.
        """
        try:
            return bounded.names(self._file, group)
        except ValueError as problem:
            raise UserError(f"{self.path}:/{group}: {problem}: make it again") from None

    def array(self, group: str, name: str) -> np.ndarray:
        """One array, text as `str`.

        Raises:
            UserError: absent or damaged.
        """
        where = f"{self.path}:/{group}/{name}"
        try:
            return bounded.read(self._file, group, name)
        except bounded.Absent:
            raise UserError(f"{where} is missing: make the file again") from None
        except ValueError as problem:
            raise UserError(f"{where}: {problem}: make it again") from None

    def walk(self) -> None:
        """Visit the whole structure of the file.

        Raises:
            UserError: it is damaged.
        """
        try:
            bounded.walk(self._file)
        except ValueError as problem:
            raise UserError(f"{self.path}: {problem}: make it again") from None

    def blob(self, channel: str, row: Row) -> UInt8[np.ndarray, "B"]:
        """The encoded bytes of one frame.

        Raises:
            UserError: the file lacks the channel, or the bytes do not match their checksum.
        """
        if channel not in self._channels:
            self._channels[channel] = self._find(channel)
        offsets, crcs, chunks = self._channels[channel]
        start, stop = int(offsets[row]), int(offsets[row + 1])
        pieces = []
        for chunk in range(start // PIECE, -(-stop // PIECE)):
            begin, end = max(start - chunk * PIECE, 0), min(stop - chunk * PIECE, PIECE)
            pieces.append(os.pread(self._bytes, end - begin, int(chunks[chunk]) + begin))
        data = b"".join(pieces)
        if not data or zlib.crc32(data) != crcs[row]:
            raise UserError(
                f"{self.path}: {channel} of frame {row} ({self.describe(row)}) does not match its "
                "checksum, the file is damaged: make it again"
            )
        return np.frombuffer(data, np.uint8)

    def _find(self, channel: str) -> "_Channel":
        """Where a channel's bytes lie in the file."""
        offsets = self.checked(f"frames/{channel}_offset")
        crcs = self.checked(f"frames/{channel}_crc32")
        where = f"{self.path}:/blobs/{channel}"
        try:
            length, places = bounded.pieces(self._file, "blobs", channel, PIECE)
        except bounded.Absent:
            raise UserError(f"{where} is missing: make the file again") from None
        except ValueError as problem:
            raise UserError(f"{where}: {problem}: make it again") from None
        if offsets[0] != 0 or (np.diff(offsets) <= 0).any() or offsets[-1] != length:
            raise UserError(f"{where} does not fit its offsets: make the file again")
        return offsets, crcs, places

    def checked(self, name: str) -> np.ndarray:
        """One array, `<group>/<name>`, of the kind and shape that the layout has.

        Raises:
            UserError: absent, damaged, or of another kind or shape.
        """
        array = self.array(*name.split("/"))
        frames = len(self.camera)
        sizes = {"C": len(self.camera_ids), "T": len(self.time), "M": frames, "M+1": frames + 1}
        try:
            check(f"/{name}", array, SPECS[name], sizes)
        except ValueError as problem:
            raise UserError(f"{self.path}: {problem}: make it again") from None
        return array

    def _decode(
        self, decode: Callable[[np.ndarray, tuple[int, int]], np.ndarray], channel: str, row: Row
    ) -> np.ndarray:
        """One frame's pixels, of the size that its camera's frames have."""
        width, height = self.sizes[self.camera[row]].tolist()
        try:
            return decode(self.blob(channel, row), (width, height))
        except ValueError as problem:
            raise UserError(
                f"{self.path}: {channel} of frame {row} ({self.describe(row)}) {problem}: "
                "make it again"
            ) from None


class FrameStore(Store):
    """Images by row: `ingest/frames.h5` or `dataset.h5`.

    Attributes:
        camera_ids: C names; sizes [C,2]: width and height of each camera's frames.
        sequence [T] str, index [T], time [T] s: the timesteps.
        camera [M], timestep [M]: of each row; `len()` is M.
    """

    def image(self, row: Row) -> UInt8[np.ndarray, "H W 3"]:
        """One frame, RGB, without alpha.

        Raises:
            UserError: its bytes are damaged.
        """
        return self._decode(jpeg.decode, IMAGE, row)


class AlphaStore(Store):
    """Alpha by row: `matte/alpha.h5` or `dataset.h5`; tables as in `FrameStore`."""

    def alpha(self, row: Row) -> UInt8[np.ndarray, "H W"]:
        """One frame's coverage, 0 background to 255 person.

        Raises:
            UserError: its bytes are damaged.
        """
        return self._decode(png.decode, ALPHA, row)
