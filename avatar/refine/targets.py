"""Frames that an avatar is compared with: small, over white, decoded once."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avatar.data.dataset import Dataset
from avatar.data.frames import camera_tensors, composite
from avatar.render import Views

MOST_VIEWS = 3  # cameras that a timestep is compared in
_WHITE = np.ones(3, np.float32)


class Targets:
    """Frames of a dataset, shrunk so that their longer side is about so many pixels.

    A timestep is seen by the chosen cameras; where one has no frame, another's counts twice.
    """

    def __init__(self, dataset: Dataset, cameras: Sequence[int], longer: int | None) -> None:
        """Decode nothing yet.

        Args:
            cameras: indices; the images of these are compared.
            longer: pixels; None: frames as they are stored.
        """
        self._dataset, self._cameras = dataset, np.asarray(cameras)
        stored = int(dataset.cameras.sizes[self._cameras].max())
        self.shrink = 1 if longer is None else max(1, round(stored / longer))
        self._kept: dict[int, UInt8[np.ndarray, "H W 3"]] = {}

    def rows(self, timesteps: Int[np.ndarray, "B"]) -> Int[np.ndarray, "B C"]:
        """Rows of the frames that show some timesteps; every one has a frame (`seen`)."""
        rows = [[self._dataset.row(t, c) for c in self._cameras] for t in timesteps.tolist()]
        return np.array([np.resize([r for r in row if r >= 0], len(row)) for row in rows])

    def seen(self, timesteps: Int[np.ndarray, "B"]) -> Int[np.ndarray, "S"]:
        """Those of the timesteps that a chosen camera has a frame of."""
        own = np.isin(self._dataset.camera, self._cameras)
        return timesteps[np.isin(timesteps, self._dataset.timestep[own])]

    def images(self, rows: Int[np.ndarray, "B C"]) -> Float[Tensor, "B C H W 3"]:
        """The frames, RGB 0..1 over white."""
        frames = np.array([self._frame(row) for row in rows.ravel().tolist()])
        return torch.from_numpy(frames.reshape(*rows.shape, *frames.shape[1:])).float().div_(255)

    def views(self, rows: Int[np.ndarray, "B C"]) -> Views:
        """The cameras of the frames."""
        index = self._dataset.camera[rows]
        return Views(*camera_tensors(self._dataset.cameras, index, self.shrink))

    def _frame(self, row: int) -> UInt8[np.ndarray, "H W 3"]:
        if row not in self._kept:
            image, alpha = self._dataset.image(row), self._dataset.alpha(row)
            full = composite(image, alpha, _WHITE)
            n = self.shrink
            size = (image.shape[1] // n, image.shape[0] // n)
            part = full[: size[1] * n, : size[0] * n]
            small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)
            self._kept[row] = (small * 255 + 0.5).astype(np.uint8)
        return self._kept[row]


def spread_cameras(dataset: Dataset, split: int) -> list[int]:
    """At most `MOST_VIEWS` of the cameras that have frames in a split, evenly spread."""
    there = np.unique(dataset.camera[dataset.split == split])
    count = min(MOST_VIEWS, len(there))
    return there[((np.arange(count) + 0.5) / count * len(there)).astype(int)].tolist()
