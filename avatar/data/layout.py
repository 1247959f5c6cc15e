"""The layout of a subject's HDF5 files: the one place of their names, channels and checksums.

`ingest/frames.h5`, `matte/alpha.h5` and `dataset.h5` share it; a file holds the parts it needs:

    /cameras    id [C] ascii, size [C,2] width height; dataset.h5 also K [C,3,3], viewmat [C,4,4]
    /timesteps  sequence [T] ascii, index [T], time [T] s; dataset.h5 also valid [T]
    /rig        the arrays of params.npz that are not in /timesteps (dataset.h5)
    /frames     camera [M], timestep [M], and per channel <channel>_offset [M+1],
                <channel>_crc32 [M]; dataset.h5 also split [M]
    /blobs      per channel one uint8 array; row m is offset[m]:offset[m+1]

Channels are `image` (JPEG, RGB, no alpha baked in), `alpha` (PNG, grey) and, in dataset.h5,
`region` (PNG of 0 background, 1 torso, 2 neck, 3 head); readers ignore those they do not know,
`verify` refuses them. Rows are sorted by sequence, camera and index.

Every byte is checked: blobs by their crc32 at every read, all other arrays by fletcher32
(Fletcher's 1982 sum, as HDF5 has it), attributes by a crc32 among them. Any number of threads and
processes may read a file, also one opened before a fork.

    headsplat dataset verify FILE...       reads every byte
    headsplat dataset info FILE            what is in it
    headsplat dataset export FILE FOLDER   images, alphas, regions, cameras, parameters;
                                           with --cutouts RGBA images too
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from avatar.base import names
from avatar.base.arrays import FLAGS, FLOATS, INTEGERS, TEXT, Spec, check

SCHEMA_VERSION = 1
TRAIN, VAL, TEST, UNUSED = range(4)
SPLITS = ("train", "val", "test", "unused")
IMAGE: str = "image"
ALPHA: str = "alpha"
REGION: str = "region"
CHANNELS = (IMAGE, ALPHA, REGION)
BACKGROUND, TORSO, NECK, HEAD = range(4)  # values of the region map

GROUPS = ("cameras", "timesteps", "rig", "frames", "blobs")
# C cameras, T timesteps, M frames; the arrays of /rig are those of RigParams.
SPECS = {
    "cameras/id": Spec(TEXT, ("C",)),
    "cameras/size": Spec(INTEGERS, ("C", 2)),
    "cameras/K": Spec(FLOATS, ("C", 3, 3)),
    "cameras/viewmat": Spec(FLOATS, ("C", 4, 4)),
    "timesteps/sequence": Spec(TEXT, ("T",)),
    "timesteps/index": Spec(INTEGERS, ("T",)),
    "timesteps/time": Spec(FLOATS, ("T",)),
    "timesteps/valid": Spec(FLAGS, ("T",)),
    "frames/camera": Spec(INTEGERS, ("M",)),
    "frames/timestep": Spec(INTEGERS, ("M",)),
    "frames/split": Spec(INTEGERS, ("M",)),
    **{f"frames/{channel}_offset": Spec(INTEGERS, ("M+1",)) for channel in CHANNELS},
    **{f"frames/{channel}_crc32": Spec(INTEGERS, ("M",)) for channel in CHANNELS},
}
TABLES = (
    "cameras/id", "cameras/size", "timesteps/sequence", "timesteps/index", "timesteps/time",
    "frames/camera", "frames/timestep",
)  # fmt: skip
MOST_CELLS = 1 << 26  # timesteps times cameras
MOST_PIXELS = 1 << 27  # of a frame

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


def check_tables(arrays: Mapping[str, np.ndarray]) -> None:
    """Check names, ranges, and that every frame is there once.

    Args:
        arrays: those of `TABLES`.
    Raises:
        ValueError: the first that is wrong, in words.
    """
    sizes: dict[str, int] = {}
    for name in TABLES:
        check(f"/{name}", arrays[name], SPECS[name], sizes)
    if not sizes["C"] or not sizes["T"] or not sizes["M"]:
        raise ValueError("it has no camera, no timestep or no frame")
    if sizes["C"] * sizes["T"] > MOST_CELLS:
        raise ValueError(f"{sizes['C']} cameras x {sizes['T']} timesteps are more than are read")
    for kind, name in (("camera", "cameras/id"), ("sequence", "timesteps/sequence")):
        for found in np.unique(arrays[name]).tolist():
            if not names.is_name(found):
                raise ValueError(f"{kind} name {found!r} is not allowed")
    size = arrays["cameras/size"]
    if size.min() < 1 or size.astype(float).prod(1).max() > MOST_PIXELS:
        raise ValueError("/cameras/size is not the width and height of frames")
    if arrays["timesteps/index"].min() < 0:
        raise ValueError("/timesteps/index is below 0")
    _check_frames(arrays, sizes)


def _check_frames(arrays: Mapping[str, np.ndarray], sizes: dict[str, int]) -> None:
    """Frames name cameras and timesteps that there are; nothing is there twice."""
    for name, size in (("camera", "C"), ("timestep", "T")):
        array = arrays[f"frames/{name}"]
        if array.min() < 0 or array.max() >= sizes[size]:
            raise ValueError(f"/frames/{name} is not all in 0..{sizes[size] - 1}")
    if len(set(arrays["cameras/id"].tolist())) < sizes["C"]:
        raise ValueError("two cameras have one name")
    step = zip(
        arrays["timesteps/sequence"].tolist(), arrays["timesteps/index"].tolist(), strict=True
    )
    cell = arrays["frames/timestep"].astype(np.int64) * sizes["C"] + arrays["frames/camera"]
    if len(set(step)) < sizes["T"] or len(np.unique(cell)) < sizes["M"]:
        raise ValueError("a frame is there twice")


def attributes_crc32(attributes: Mapping[str, Any]) -> int:
    """The format keeps long attributes in a heap without checksum: this covers them."""
    values = {name: value for name, value in attributes.items() if name != "attributes_crc32"}
    return zlib.crc32(repr(sorted(values.items())).encode())
