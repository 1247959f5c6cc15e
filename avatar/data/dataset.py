"""The HDF5 files of a subject, writers and readers side by side: the one place of their layout.

`ingest/frames.h5`, `matte/alpha.h5` and `dataset.h5` share it; a file holds the parts it needs:

    /cameras    id [C] ascii, size [C,2] width height; dataset.h5 also K [C,3,3], viewmat [C,4,4]
    /timesteps  sequence [T] ascii, index [T], time [T] s; dataset.h5 also valid [T]
    /rig        the arrays of params.npz that are not in /timesteps (dataset.h5)
    /frames     camera [M], timestep [M], and per channel <channel>_offset [M+1],
                <channel>_crc32 [M]; dataset.h5 also split [M]
    /blobs      per channel one uint8 array; row m is offset[m]:offset[m+1]

Channels are `image` (JPEG, RGB, no alpha baked in), `alpha` (PNG, grey) and, in dataset.h5,
`region` (PNG of 0 background, 1 torso, 2 neck, 3 head); readers ignore those they do not know. Rows
are sorted by sequence, camera and index. Every byte is checked: blobs by their crc32 at every read,
all other arrays by fletcher32 (Fletcher's 1982 sum, as HDF5 has it), attributes by a crc32 among
them. Any number of threads and processes may read a file, also one opened before a fork.

    python -m avatar.data verify FILE...       reads every byte
    python -m avatar.data info FILE            what is in it
    python -m avatar.data export FILE FOLDER   images, alphas, regions, cameras, parameters;
                                                  with --cutouts RGBA images too
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import h5py
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from avatar.base import files
from avatar.base.errors import UserError
from avatar.base.memory import keep_freed_memory
from avatar.data import jpeg, png
from avatar.data.cameras import Cameras

if TYPE_CHECKING:
    from avatar.rig import RigParams

Row = int | np.integer
# Of one channel: offsets [M+1], crc32 [M] of its rows; where in the file each of its pieces lies.
_Channel = tuple[np.ndarray, np.ndarray, np.ndarray]
S = TypeVar("S", bound="_Store")
SCHEMA_VERSION = 1
TRAIN, VAL, TEST, UNUSED = range(4)
SPLITS = ("train", "val", "test", "unused")
IMAGE: str = "image"
ALPHA: str = "alpha"
REGION: str = "region"
BACKGROUND, TORSO, NECK, HEAD = range(4)  # values of the region map

_PIECE = 1 << 16  # bytes by which a blob array grows: little is left over at its end


@dataclass(frozen=True)
class Tables:
    """What the blobs of a file are frames of.

    Attributes:
        camera_ids: C names, lexicographic.
        sizes: width and height in pixels of each camera's stored frames.
        sequence: name of each timestep's sequence; timesteps run over sequences in order.
        index: place of a timestep in its sequence, from 0.
        time: seconds from the sequence's start.
        camera, timestep: of each stored frame.
    """

    camera_ids: list[str]
    sizes: Int[np.ndarray, "C 2"]
    sequence: np.ndarray
    index: Int[np.ndarray, "T"]
    time: Float[np.ndarray, "T"]
    camera: Int[np.ndarray, "M"]
    timestep: Int[np.ndarray, "M"]

    def __post_init__(self) -> None:
        assert len(self.camera_ids) == len(self.sizes) > 0
        assert len(self.sequence) == len(self.index) == len(self.time) > 0
        assert len(self.camera) == len(self.timestep) > 0


@dataclass(frozen=True)
class Frame:
    """A frame, or a part of it, with its camera.

    Attributes:
        image: RGB, without alpha; alpha: 0 background to 255 person.
        K: pixels of this image; viewmat: world-to-camera, metres.
    """

    image: UInt8[np.ndarray, "H W 3"]
    alpha: UInt8[np.ndarray, "H W"]
    K: Float[np.ndarray, "3 3"]
    viewmat: Float[np.ndarray, "4 4"]


class StoreWriter:
    """Fills a new file; made by `create`."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._crcs: dict[str, list[int]] = {}
        self._offsets: dict[str, list[int]] = {}
        self._waiting: dict[str, list[bytes]] = {}

    def append(self, channel: str, blob: bytes) -> None:
        """Add the next row's blob."""
        if channel not in self._offsets:
            self._file.create_dataset(
                f"blobs/{channel}", (0,), np.uint8, maxshape=(None,), chunks=(_PIECE,)
            )
            self._crcs[channel], self._offsets[channel], self._waiting[channel] = [], [0], []
        self._crcs[channel].append(zlib.crc32(blob))
        self._offsets[channel].append(self._offsets[channel][-1] + len(blob))
        self._waiting[channel].append(blob)
        if self._offsets[channel][-1] - len(self._file[f"blobs/{channel}"]) >= _PIECE:
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
        self._file.attrs["attributes_crc32"] = _attributes_crc32(self._file)
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


def _attributes_crc32(file: h5py.File) -> int:
    """The format keeps long attributes in a heap without checksum: this covers them."""
    values = {name: value for name, value in file.attrs.items() if name != "attributes_crc32"}
    return zlib.crc32(repr(sorted(values.items())).encode())


@contextmanager
def create(path: str | Path) -> Iterator[StoreWriter]:
    """Write a file of this layout: temporary name, verified by re-reading, fsynced, renamed.

    Nothing appears under `path` when the block raises, the process is killed or what was written
    reads back otherwise. What a killed process left is removed: one writer of `path` at a time.
    """
    files.remove_leftovers(path)
    with files.atomic(path) as temporary:
        # From version 1.10 on the format checksums its own metadata.
        with h5py.File(temporary, "w", libver=("v110", "v110")) as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            writer = StoreWriter(file)
            yield writer
            writer.close()
        verify(temporary)


def verify(path: str | Path) -> None:
    """Read every byte of a file of this layout.

    Raises:
        UserError: an array or a frame does not match its checksum; the message names it.
    """
    with _Store(path) as store:
        for group in ("cameras", "timesteps", "rig", "frames"):
            for name in store.arrays(group):
                store.array(group, name)
        for channel in store.arrays("blobs"):
            for row in range(len(store)):
                store.blob(channel, row)


class _Store:
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
        """
        # A decoded frame is some megabytes, soon freed: fetched from the kernel anew for each,
        # their pages cost more than the decoding.
        keep_freed_memory(1 << 26, 1 << 28)
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path} does not exist: run the stage that writes it")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError:
            raise UserError(f"{self.path} is damaged or no HDF5 file: make it again") from None
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

    def __reduce__(self) -> tuple[type["_Store"], tuple[Path]]:
        return type(self), (self.path,)  # a process that gets a copy opens the file itself

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the file: text and numbers."""
        try:
            values = dict(self._file.attrs.items())
            whole = values.get("attributes_crc32") == _attributes_crc32(self._file)
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
        for chunk in range(start // _PIECE, -(-stop // _PIECE)):
            begin, end = max(start - chunk * _PIECE, 0), min(stop - chunk * _PIECE, _PIECE)
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
        chunks = np.zeros(-(-int(offsets[-1]) // _PIECE), np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            chunks[chunk.chunk_offset[0] // _PIECE] = chunk.byte_offset

        try:
            dataset = self._file["blobs"][channel]
            dataset.id.chunk_iter(note)
            known = (len(crcs), dataset.shape, dataset.dtype, dataset.chunks, dataset.compression)
        except KeyError:
            raise UserError(f"{where} is missing: make the file again") from None
        except (OSError, RuntimeError, IndexError):
            raise UserError(f"{where} is damaged: make the file again") from None
        if known != (len(self), (offsets[-1],), np.uint8, (_PIECE,), None) or not chunks.all():
            raise UserError(f"{where} does not fit its offsets: make the file again")
        return offsets, crcs, chunks


class FrameStore(_Store):
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


class AlphaStore(_Store):
    """Alpha by row: `matte/alpha.h5` or `dataset.h5`; tables as in `FrameStore`."""

    def alpha(self, row: Row) -> UInt8[np.ndarray, "H W"]:
        """One frame's coverage, 0 background to 255 person.

        Raises:
            UserError: its bytes are damaged.
        """
        return decode_alpha(self.blob(ALPHA, row))


class Dataset(FrameStore, AlphaStore):
    """`dataset.h5`: all that training and evaluation read, by row.

    Attributes beside those of `FrameStore`:
        split [M]: TRAIN, VAL, TEST or UNUSED; valid [T]: whether the tracker found a face.
        cameras: pinhole cameras of the stored frames.
        params: the tracker's rig parameters.
        attrs: subject, rig, rig_sha256, config_json, sources_json, code_version.
    """

    split: UInt8[np.ndarray, "M"]
    valid: Bool[np.ndarray, "T"]

    def __init__(self, path: str | Path) -> None:
        """Open a dataset; raises as `FrameStore` does."""
        super().__init__(path)
        self.split = self.array("frames", "split")
        self.valid = self.array("timesteps", "valid")

    def region(self, row: Row) -> UInt8[np.ndarray, "H W"]:
        """One frame's region map: BACKGROUND, TORSO, NECK or HEAD.

        Raises:
            UserError: its bytes are damaged, or the file was packed without regions.
        """
        return decode_alpha(self.blob(REGION, row))

    def foreground(self, row: Row) -> UInt8[np.ndarray, "H W 3"]:
        """One frame, RGB, the background taken out of partly covered pixels.

        Raises:
            UserError: its bytes are damaged.
        """
        from avatar.data.foreground import foreground  # Numba: not for stages that only move frames

        return foreground(self.image(row), self.alpha(row))

    def frame(
        self,
        timestep: Row,
        camera: Row,
        window: tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
    ) -> Frame:
        """One frame by timestep and camera, a part of it, resized.

        Args:
            window: x, y, width, height in stored pixels; None: all.
            scale: pixels of the result per stored pixel.
        Raises:
            UserError: there is no such frame, it is damaged, or the window is not inside it.
        """
        row = self.row(timestep, camera)
        if row < 0:
            raise UserError(
                f"{self.path}: camera {self.camera_ids[camera]} has no frame at timestep {timestep}"
            )
        image, alpha = self.image(row), self.alpha(row)
        x, y, width, height = window or (0, 0, image.shape[1], image.shape[0])
        inside = 0 <= x < x + width <= image.shape[1] and 0 <= y < y + height <= image.shape[0]
        size = (round(width * scale), round(height * scale))
        if not inside or min(size) < 1:
            raise UserError(
                f"{self.path}: window {window} at scale {scale} of a frame of "
                f"{image.shape[1]} x {image.shape[0]}: expected a part of it, a pixel or more"
            )
        part = (slice(y, y + height), slice(x, x + width))
        # Pixel edges move: (x - x0) times the ratio of widths.
        resize = np.diag([size[0] / width, size[1] / height, 1.0])
        shift = np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return Frame(
            cv2.resize(image[part], size, interpolation=way),
            cv2.resize(alpha[part], size, interpolation=way),
            resize @ shift @ self.cameras.Ks[camera],
            self.cameras.viewmats[camera],
        )

    def rows(self, split: int) -> Int[np.ndarray, "R"]:
        """The rows of one split, ascending."""
        return np.flatnonzero(self.split == split)

    @cached_property
    def cameras(self) -> Cameras:
        """The cameras; lengths in metres, K in pixels of the stored frames."""
        count = len(self.camera_ids)
        return Cameras(
            self.camera_ids,
            self.array("cameras", "K"),
            self.array("cameras", "viewmat"),
            self.sizes,
            np.zeros((count, 5)),
            np.zeros(count),
        )

    @cached_property
    def params(self) -> "RigParams":
        """The tracker's rig parameters, one row a timestep."""
        from avatar.rig import RigParams  # torch: not for stages that only move frames

        arrays = {name: self.array("rig", name) for name in self.arrays("rig")}
        arrays |= {name: getattr(self, name) for name in ("sequence", "index", "time", "valid")}
        return RigParams.from_arrays(
            arrays | {name: np.array(self.attrs[name]) for name in ("rig", "rig_sha256")}
        )


def encode_alpha(alpha: UInt8[np.ndarray, "H W"]) -> bytes:
    """An alpha image or a region map as PNG, without loss."""
    return png.encode(alpha)


def decode_alpha(blob: UInt8[np.ndarray, "B"]) -> UInt8[np.ndarray, "H W"]:
    """The alpha image or region map of a PNG."""
    return cv2.imdecode(blob, cv2.IMREAD_GRAYSCALE)
