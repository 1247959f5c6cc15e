"""The layout of a subject's HDF5 files: the one place of their names, channels and checksums.

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

import zlib
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float, Int

SCHEMA_VERSION = 1
TRAIN, VAL, TEST, UNUSED = range(4)
SPLITS = ("train", "val", "test", "unused")
IMAGE: str = "image"
ALPHA: str = "alpha"
REGION: str = "region"
BACKGROUND, TORSO, NECK, HEAD = range(4)  # values of the region map

PIECE = 1 << 16  # bytes by which a blob array grows: little is left over at its end


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


def attributes_crc32(file: h5py.File) -> int:
    """The format keeps long attributes in a heap without checksum: this covers them."""
    values = {name: value for name, value in file.attrs.items() if name != "attributes_crc32"}
    return zlib.crc32(repr(sorted(values.items())).encode())
