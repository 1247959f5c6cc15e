"""Write the HDF5 files of a subject: a new file is complete, checked and only then renamed."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from avatar.base import files
from avatar.data import hdf5
from avatar.data.hdf5 import Sink
from avatar.data.layout import PIECE, SCHEMA_VERSION, Tables, attributes_crc32
from avatar.data.verify import verify


class StoreWriter:
    """Fills a new file; made by `create`."""

    def __init__(self, file: h5py.File, sink: Sink) -> None:
        self._file, self._sink = file, sink
        self._crcs: dict[str, list[int]] = {}
        self._offsets: dict[str, list[int]] = {}
        self._waiting: dict[str, list[bytes]] = {}

    def append(self, channel: str, blob: bytes) -> None:
        """Add the next row's blob."""
        if channel not in self._offsets:
            self._file.create_dataset(
                f"blobs/{channel}", (0,), np.uint8, maxshape=(None,), chunks=(PIECE,)
            )
            self._crcs[channel], self._offsets[channel], self._waiting[channel] = [], [0], []
        self._crcs[channel].append(zlib.crc32(blob))
        self._offsets[channel].append(self._offsets[channel][-1] + len(blob))
        self._waiting[channel].append(blob)
        if self._offsets[channel][-1] - len(self._file[f"blobs/{channel}"]) >= PIECE:
            self._flush(channel)

    def write_tables(self, tables: Tables) -> None:
        """Write /cameras, /timesteps and the places of the frames."""
        self.write_arrays("cameras", {"id": np.array(tables.camera_ids), "size": tables.sizes})
        self.write_arrays(
            "timesteps",
            {"sequence": tables.sequence, "index": tables.index, "time": tables.time},
        )
        self.write_arrays("frames", {"camera": tables.camera, "timestep": tables.timestep})

    def write_arrays(self, group: str, arrays: dict[str, np.ndarray]) -> None:
        """Write arrays under `/<group>`, compressed and checksummed; text must be ASCII."""
        for name, array in arrays.items():
            if array.dtype.kind == "U":
                array = array.astype("S")
            assert array.size > 0, f"/{group}/{name} is empty: nothing would carry its checksum"
            self._file.create_dataset(
                f"{group}/{name}",
                data=array,
                compression="gzip",
                compression_opts=1,
                shuffle=True,
                fletcher32=True,
            )

    def write_attributes(self, attributes: dict[str, str]) -> None:
        """Write text attributes of the file."""
        for name, text in attributes.items():
            self._file.attrs[name] = np.bytes_(text.encode())

    def close(self) -> None:
        """Write what waits, the blobs' offsets and all checksums."""
        self._file.attrs["attributes_crc32"] = attributes_crc32(self._file.attrs)
        for channel in self._offsets:
            self._flush(channel)
            self.write_arrays(
                "frames",
                {
                    f"{channel}_offset": np.array(self._offsets[channel], np.int64),
                    f"{channel}_crc32": np.array(self._crcs[channel], np.uint32),
                },
            )

    def _flush(self, channel: str) -> None:
        dataset = self._file[f"blobs/{channel}"]
        start, stop = len(dataset), self._offsets[channel][-1]
        if start < stop:
            dataset.resize((stop,))
            dataset[start:] = np.frombuffer(b"".join(self._waiting[channel]), np.uint8)
            self._waiting[channel] = []
            self._sink.check()

    def expected_size(self, rows: int | None) -> float | None:
        """Bytes of the whole file, from those of the blobs so far; None: not known."""
        done = max((len(crcs) for crcs in self._crcs.values()), default=0)
        blobs = sum(offsets[-1] for offsets in self._offsets.values())
        return blobs / done * rows if rows and done else None


@contextmanager
def create(path: str | Path, rows: int | None = None) -> Iterator[StoreWriter]:
    """Write a file of this layout: temporary name, verified by re-reading, fsynced, renamed.

    Nothing appears under `path` when the block raises, the process is killed or what was written
    reads back otherwise. What a killed process left is removed: one writer of `path` at a time.

    Args:
        rows: how many frames will be written, to say what space they need.
    Raises:
        UserError: the disk is full, or a limit on sizes was reached.
    """
    files.remove_leftovers(path)
    started: list[StoreWriter] = []
    needed = lambda: started[0].expected_size(rows) if started else None  # noqa: E731
    with files.atomic(path, needed) as temporary:
        with hdf5.writing(temporary) as (file, sink):
            file.attrs["schema_version"] = SCHEMA_VERSION
            writer = StoreWriter(file, sink)
            started.append(writer)
            yield writer
            writer.close()
        verify(temporary)
