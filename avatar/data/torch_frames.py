"""A dataset's frames as a PyTorch `Dataset`, for `DataLoader` workers of either start method."""

from pathlib import Path

import torch
from torch import Tensor

from avatar.data.dataset import Dataset


class TorchFrames(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The frames of one split.

    Args:
        path: `dataset.h5`.
        split: `avatar.data.dataset.TRAIN`, `VAL` or `TEST`.
        window: x, y, width, height in stored pixels; None: whole frames.
        scale: pixels of an item's image per stored pixel.
    """

    def __init__(
        self,
        path: str | Path,
        split: int,
        window: tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
    ) -> None:
        self._data = Dataset(path)
        self._rows = self._data.rows(split)
        self._window, self._scale = window, scale

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        """One frame: image [H,W,3] RGB and alpha [H,W], 0..1; K [3,3] pixels of that image;
        viewmat [4,4] world-to-camera, metres; timestep and camera (int64).

        Raises:
            UserError: the frame is damaged, or the window does not fit.
        """
        row = self._rows[place]
        timestep, camera = int(self._data.timestep[row]), int(self._data.camera[row])
        frame = self._data.frame(timestep, camera, self._window, self._scale)
        return {
            "image": torch.from_numpy(frame.image).float() / 255,
            "alpha": torch.from_numpy(frame.alpha).float() / 255,
            "K": torch.from_numpy(frame.K).float(),
            "viewmat": torch.from_numpy(frame.viewmat).float(),
            "timestep": torch.tensor(timestep),
            "camera": torch.tensor(camera),
        }
