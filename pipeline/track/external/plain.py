"""A plain track: params.npz as headsplat writes it, matched to the stored timesteps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES
from pipeline.track.external.arrays import nearest_known


def plain_params(path: Path, rig: HeadRig, store: FrameStore, remarks: list[str]) -> RigParams:
    """Read a plain track and give it the timesteps of the store, by sequence and index.

    Timesteps that it lacks are held at the nearest that it has, and not valid; others than the
    store's are left out.

    Raises:
        UserError: damaged, of another rig, or of other frames: none in common, or other times.
    """
    track = RigParams.load(path)
    if track.rig_sha256 != rig.sha256:
        raise UserError(
            f"{path} was tracked with the rig {track.rig} {track.rig_sha256[:12]}, the rig in use "
            f"is {rig.name} {rig.sha256[:12]}: use that very rig, or set track.external: fit"
        )
    if misfit := track.misfit(rig, np.size(track.sequence)):
        raise UserError(f"{path}: {misfit}: fix it, or set track.external: fit")
    there = zip(track.sequence.tolist(), track.index.tolist(), strict=True)
    row_of = {step: row for row, step in enumerate(there)}
    here = zip(store.sequence.tolist(), store.index.tolist(), strict=True)
    rows = np.array([row_of.get(step, -1) for step in here])
    known = rows >= 0
    if not known.any():
        raise UserError(f"{path} has no timestep of {store.path}: other sequences or none")
    _check_times(path, track, store, rows)
    if not known.all():
        remarks.append(f"the track lacks {(~known).sum()} of {len(known)} timesteps")
    taken = rows[nearest_known(known, store.sequence)]
    poses = {name: getattr(track, name)[torch.from_numpy(taken)] for name in POSES}
    return replace(
        track, **poses, sequence=store.sequence, index=store.index, time=store.time,
        valid=known & track.valid.astype(bool)[taken],
    )  # fmt: skip


def _check_times(path: Path, track: RigParams, store: FrameStore, rows: np.ndarray) -> None:
    """The same index is the same frame only where it has the same time."""
    steps = np.diff(store.time)[store.sequence[1:] == store.sequence[:-1]]
    limit = float(np.median(steps)) / 2 if len(steps) else np.inf
    known = np.flatnonzero(rows >= 0)
    apart = np.abs(track.time[rows[known]] - store.time[known])
    worst = int(apart.argmax())
    if apart[worst] > limit:
        step = known[worst]
        raise UserError(
            f"{path}: {store.sequence[step]} {store.index[step]} is at "
            f"{track.time[rows[step]]:.3f} s, the stored frame at {store.time[step]:.3f} s: "
            "ingest with the settings that the track was made with"
        )
