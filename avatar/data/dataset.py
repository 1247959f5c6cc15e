"""`dataset.h5`: all that training and evaluation read of a subject, by row."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from avatar.base.errors import UserError
from avatar.data import png
from avatar.data.cameras import Cameras, check_pinhole
from avatar.data.layout import REGION, SPLITS
from avatar.data.reader import AlphaStore, FrameStore, Row

if TYPE_CHECKING:
    from avatar.rig.params import RigParams


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
        self.split = self.checked("frames/split")
        self.valid = self.checked("timesteps/valid")
        if not np.isin(self.split, range(len(SPLITS))).all():
            raise UserError(f"{self.path}: /frames/split is not all in 0..3: make it again")

    def region(self, row: Row) -> UInt8[np.ndarray, "H W"]:
        """One frame's region map: BACKGROUND, TORSO, NECK or HEAD.

        Raises:
            UserError: its bytes are damaged, or the file was packed without regions.
        """
        return self._decode(png.decode, REGION, row)

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
        Ks, viewmats = self.checked("cameras/K"), self.checked("cameras/viewmat")
        for name, K, viewmat in zip(self.camera_ids, Ks, viewmats, strict=True):
            check_pinhole(f"{self.path}: camera {name}", K, viewmat)
        return Cameras(
            self.camera_ids,
            Ks,
            viewmats,
            self.sizes,
            np.zeros((count, 5)),
            np.zeros(count),
        )

    @cached_property
    def params(self) -> "RigParams":
        """The tracker's rig parameters, one row a timestep.

        Raises:
            UserError: they are damaged, or not parameters of a rig.
        """
        from avatar.rig.params import RigParams  # torch: not for stages that only move frames

        arrays = {name: self.array("rig", name) for name in self.arrays("rig")}
        arrays |= {name: getattr(self, name) for name in ("sequence", "index", "time", "valid")}
        arrays |= {k: np.array(self.attrs[k]) for k in ("rig", "rig_sha256") if k in self.attrs}
        try:
            return RigParams.from_arrays(arrays)
        except ValueError as problem:
            raise UserError(f"{self.path}: /rig: {problem}: make it again") from None
