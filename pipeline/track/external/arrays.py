"""Arrays of other people's npz files, and timesteps without a track."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.base import npz
from avatar.base.errors import UserError

REMEDY = "save its arrays as numbers"


def read_arrays(path: Path, names: Collection[str]) -> dict[str, Float[np.ndarray, "..."]]:
    """The arrays of an npz file that are asked for and there; nothing in it is executed.

    Raises:
        UserError: absent, damaged, pickled, or an array is no finite numbers.
    """
    arrays = npz.read(path, names, REMEDY)
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds other things than finite numbers: {REMEDY}")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def nearest_known(known: Bool[np.ndarray, "T"], sequence: np.ndarray) -> Int[np.ndarray, "T"]:
    """For every timestep the nearest known one, of its own sequence where that has any."""
    there, here = np.flatnonzero(known), np.arange(len(known))
    right = np.searchsorted(there, here).clip(max=len(there) - 1)
    sides = there[np.stack([np.maximum(right - 1, 0), right])]
    away = np.abs(sides - here) + len(known) * (sequence[sides] != sequence)
    return sides[away.argmin(0), here]
