"""Which frames are for training and which are held out."""

import numpy as np
from jaxtyping import Bool, UInt8

from avatar.base.errors import UserError
from avatar.data import split
from avatar.data.layout import SPLITS, TEST, TRAIN, UNUSED, VAL, Tables
from pipeline.pack.settings import SplitSettings


def split_rows(
    tables: Tables, valid: Bool[np.ndarray, "T"], settings: SplitSettings
) -> UInt8[np.ndarray, "M"]:
    """The split of every row: TRAIN, VAL, TEST or UNUSED.

    Held-out timesteps of all cameras are `test`; of the rest the held-out camera is `val` and the
    others are `train`. Frames of invalid timesteps are unused.

    Args:
        valid: whether a timestep was tracked.
    Raises:
        UserError: a camera or sequence that is not there, or no frame to train or test on.
    """
    held_camera = _held_camera(tables.camera_ids, settings)
    held_step = _held_timesteps(tables, valid, settings)
    result = np.where(tables.camera == held_camera, VAL, TRAIN)
    result[held_step[tables.timestep]] = TEST
    result[~valid[tables.timestep]] = UNUSED
    for part in (TRAIN, TEST):
        if not (result == part).any():
            raise UserError(
                f"no frame is left for {SPLITS[part]}: {int(valid.sum())} of {len(valid)} "
                "timesteps show a face: give a longer clip or change pack.split in the settings"
            )
    return result.astype(np.uint8)


def _held_camera(ids: list[str], settings: SplitSettings) -> int:
    if settings.camera is None:
        return split.default_camera(len(ids))
    if settings.camera not in ids or len(ids) == 1:
        raise UserError(
            f"settings: pack.split.camera is {settings.camera!r}, expected one of {ids}, "
            "of at least two"
        )
    return ids.index(settings.camera)


def _held_timesteps(
    tables: Tables, valid: Bool[np.ndarray, "T"], settings: SplitSettings
) -> Bool[np.ndarray, "T"]:
    """The held-out timesteps; invalid ones count for nothing."""
    sequences = sorted(set(tables.sequence.tolist()))
    held = settings.sequence
    if held is None:
        return split.default_timesteps(tables.sequence, valid, settings.fraction)
    if held not in sequences or len(sequences) == 1:
        raise UserError(
            f"settings: pack.split.sequence is {held!r}, expected one of {sequences}, "
            "of at least two"
        )
    return tables.sequence == held
