"""Read the HDF5 files of a subject: tables, and frames by row.

Every byte is checked: blobs by their crc32 at every read, all other arrays by their fletcher32.
Any number of threads and processes may read a file, also one opened before a fork.
"""

import os
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar.base.errors import UserError
from avatar.base.memory import keep_freed_memory
from avatar.data import hdf5, jpeg, png
from avatar.data.layout import ALPHA, IMAGE, PIECE, SCHEMA_VERSION, Tables, attributes_crc32

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
        if "schema_version" not in self._file.attrs:
            raise UserError(
                f"{self.path} is not a file of headsplat: give another or make it again"
            )
        version = self.attrs.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{self.path}: schema_version is {version}, expected {SCHEMA_VERSION}: "
                "make it again with this version of headsplat"
            )
        self.camera_ids = self.array("cameras", "id").tolist()
        self.sizes = self.array("cameras", "size")
        self.sequence = self.array("timesteps", "sequence")
        self.index = self.array("timesteps", "index")
        self.time = self.array("timesteps", "time")
        self.camera = self.array("frames", "camera")
        self.timestep = self.array("frames", "timestep")
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
            values = dict(self._file.attrs.items())
            whole = values.get("attributes_crc32") == attributes_crc32(self._file)
        except (OSError, RuntimeError):
            whole = False
        if not whole:
            raise UserError(f"{self.path}: the attributes are damaged: make it again")
        return {
            name: value.decode() if isinstance(value, bytes) else value.item()
            for name, value in values.items()
        }

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
        """Names under `/<group>`; none where the group is absent."""
        return sorted(self._file[group]) if group in self._file else []

    def array(self, group: str, name: str) -> np.ndarray:
        """One array, text as `str`.

        Raises:
            UserError: absent, or its checksum does not match.
        """
        where = f"{self.path}:/{group}/{name}"
        try:
            array = self._file[group][name][()]
        except KeyError:
            raise UserError(f"{where} is missing: make the file again") from None
        except (OSError, RuntimeError):
            raise UserError(f"{where} does not match its checksum: make it again") from None
        return array.astype(str) if array.dtype.kind == "S" else array

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
        offsets = self.array("frames", f"{channel}_offset")
        crcs = self.array("frames", f"{channel}_crc32")
        where = f"{self.path}:/blobs/{channel}"
        chunks = np.zeros(-(-int(offsets[-1]) // PIECE), np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            chunks[chunk.chunk_offset[0] // PIECE] = chunk.byte_offset

        try:
            dataset = self._file["blobs"][channel]
            dataset.id.chunk_iter(note)
            known = (len(crcs), dataset.shape, dataset.dtype, dataset.chunks, dataset.compression)
        except KeyError:
            raise UserError(f"{where} is missing: make the file again") from None
        except (OSError, RuntimeError, IndexError):
            raise UserError(f"{where} is damaged: make the file again") from None
        if known != (len(self), (offsets[-1],), np.uint8, (PIECE,), None) or not chunks.all():
            raise UserError(f"{where} does not fit its offsets: make the file again")
        return offsets, crcs, chunks


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
        return jpeg.decode(self.blob(IMAGE, row))


class AlphaStore(Store):
    """Alpha by row: `matte/alpha.h5` or `dataset.h5`; tables as in `FrameStore`."""

    def alpha(self, row: Row) -> UInt8[np.ndarray, "H W"]:
        """One frame's coverage, 0 background to 255 person.

        Raises:
            UserError: its bytes are damaged.
        """
        return png.decode(self.blob(ALPHA, row))
