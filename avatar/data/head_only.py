"""A dataset without torso and clothes, as the protocol `head` shows it."""

import cv2
import numpy as np
from jaxtyping import UInt8

from avatar.data.dataset import Dataset
from avatar.data.layout import TORSO
from avatar.data.reader import Row

DILATION = 3  # pixels by which the torso grows before it is cut away


class HeadDataset(Dataset):
    """`dataset.h5` whose alpha has no torso; all else, its hash included, is as it is stored."""

    def alpha(self, row: Row) -> UInt8[np.ndarray, "H W"]:
        """Coverage of one frame by head and neck, see `without_torso`; raises as `Dataset`'s."""
        return without_torso(super().alpha(row), self.region(row))


def without_torso(
    alpha: UInt8[np.ndarray, "H W"], regions: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W"]:
    """Alpha whose upper half is 255, and 0 at the torso and `DILATION` pixels around it."""
    size = 2 * DILATION + 1
    torso = cv2.dilate((regions == TORSO).astype(np.uint8), np.ones((size, size), np.uint8))
    return np.where(torso.astype(bool), 0, np.where(alpha > 127, 255, alpha)).astype(np.uint8)
