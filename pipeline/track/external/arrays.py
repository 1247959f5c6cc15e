"""Arrays of other people's npz files, and timesteps without a track."""

import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.base.errors import UserError


def read_arrays(path: Path, names: Collection[str]) -> dict[str, Float[np.ndarray, "..."]]:
    """The arrays of an npz file that are asked for and there; nothing in it is executed.

    Raises:
        UserError: absent, damaged, pickled, or an array is no finite numbers.
    """
    with _opened(path) as archive:
        arrays = {name: archive[name] for name in names if name in archive.files}
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds other things than finite numbers: mend it")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def array_names(path: Path) -> set[str]:
    """What arrays an npz file has; raises as `read_arrays`."""
    with _opened(path) as archive:
        return set(archive.files)


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except OSError as problem:
        raise UserError(f"{path} cannot be read ({problem.strerror or problem})") from None
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
        raise UserError(
            f"{path} is no npz file of plain arrays ({problem}): save numbers"
        ) from None


def nearest_known(known: Bool[np.ndarray, "T"], sequence: np.ndarray) -> Int[np.ndarray, "T"]:
    """For every timestep the nearest known one, of its own sequence where that has any."""
    there, here = np.flatnonzero(known), np.arange(len(known))
    right = np.searchsorted(there, here).clip(max=len(there) - 1)
    sides = there[np.stack([np.maximum(right - 1, 0), right])]
    away = np.abs(sides - here) + len(known) * (sequence[sides] != sequence)
    return sides[away.argmin(0), here]
