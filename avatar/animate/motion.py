"""Motion of an avatar: rig parameters that keep its identity and replace its poses."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar.base.errors import UserError
from avatar.rig import HeadRig, RigParams, arkit
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix, matrix_to_axis_angle, mean_rotation

ROTATIONS = ("rotation", "neck_pose")  # averaged as rotations; of the others the means are taken


def resting(params: RigParams) -> dict[str, Float[Tensor, "_"]]:
    """The mean pose over the timesteps that count, by the names of `POSES`."""
    valid = torch.from_numpy(counted(params))
    means = {name: getattr(params, name)[valid].mean(0) for name in POSES}
    for name in ROTATIONS:
        turns = axis_angle_to_matrix(getattr(params, name)[valid].double())
        means[name] = matrix_to_axis_angle(mean_rotation(turns)).float()
    return means


def counted(params: RigParams) -> Bool[np.ndarray, "T"]:
    """The timesteps that means are taken over: the valid ones, all where none is valid."""
    return params.valid if params.valid.any() else ~params.valid


def moved(
    params: RigParams,
    poses: Mapping[str, Float[Tensor, "T _"]],
    time: Float[np.ndarray, "T"],
    sequence: np.ndarray | None = None,
) -> RigParams:
    """The identity of `params` in other poses.

    Args:
        poses: some of `POSES`; the others rest at the mean of `params`.
        time: seconds from the sequence's start.
        sequence: name of each timestep's sequence; one of all if None.
    """
    count = len(time)
    rest = {name: value.expand(count, -1) for name, value in resting(params).items()}
    if sequence is None:
        sequence = np.full(count, "motion")
    _, start, clip = np.unique(sequence, return_index=True, return_inverse=True)
    changed: dict[str, Any] = rest | dict(poses)
    return replace(
        params,
        **changed,
        sequence=sequence,
        index=np.arange(count) - start[clip],
        time=time,
        valid=np.ones(count, bool),
    )


def named_poses(
    rig: HeadRig, strengths: Mapping[str, float | Float[np.ndarray, "T"]], count: int
) -> dict[str, Float[Tensor, "T _"]]:
    """Expression, jaw and gaze of named coefficients; those not named are 0.

    Args:
        strengths: by the names of `names_of`.
        count: T.
    Raises:
        UserError: a name that the rig does not have, or a value that is not finite.
    """
    names = names_of(rig)
    table = torch.zeros(count, len(names))
    for name, strength in strengths.items():
        if name not in names:
            raise UserError(f"{name!r} is not an expression of rig {rig.name}: {_known(names)}")
        table[:, names.index(name)] = torch.as_tensor(strength, dtype=torch.float32)
        if not table[:, names.index(name)].isfinite().all():
            raise UserError(f"expression {name!r} is not finite: give numbers")
    if is_arkit(rig):
        return arkit.from_arkit(table)
    return {"expr": table, "jaw_pose": torch.zeros(count, 3), "eyes_pose": torch.zeros(count, 6)}


def is_arkit(rig: HeadRig) -> bool:
    """Whether the rig's expressions are ARKit's facial actions."""
    return tuple(rig.expr_names) == arkit.EXPR_NAMES


def names_of(rig: HeadRig) -> tuple[str, ...]:
    """Names of the coefficients that drive a rig: ARKit's 52 where it has them, else its own."""
    return arkit.ARKIT_NAMES if is_arkit(rig) else tuple(rig.expr_names)


def turned_neck(
    rest: Mapping[str, Float[Tensor, "_"]], turns: Float[Tensor, "T 3 3"]
) -> Float[Tensor, "T 3"]:
    """Neck poses that turn the head from its resting pose; turns are about the head's own axes."""
    neck = axis_angle_to_matrix(rest["neck_pose"].double())
    return matrix_to_axis_angle(neck @ turns.double()).float()


def resampled(params: RigParams, fps: float) -> RigParams:
    """The same motion at a steady rate: linear between timesteps, each sequence by itself.

    Args:
        fps: timesteps per second.
    """
    parts = []
    for name in dict.fromkeys(params.sequence.tolist()):
        rows = np.flatnonzero(params.sequence == name)
        known = params.time[rows]
        count = int(np.floor((known[-1] - known[0]) * fps + 1e-6)) + 1
        parts.append((name, rows, known, known[0] + np.arange(count) / fps))
    poses = {
        key: torch.cat(
            [_at(getattr(params, key)[rows], known, new) for _, rows, known, new in parts]
        )
        for key in POSES
    }
    sequence = np.concatenate([np.full(len(new), name) for name, _, _, new in parts])
    return moved(params, poses, np.concatenate([part[3] - part[3][0] for part in parts]), sequence)


def rate_of(params: RigParams) -> float:
    """Timesteps per second, 25 where there is only one timestep."""
    steps = np.diff(params.time)
    steps = steps[steps > 0]
    return float(1 / np.median(steps)) if len(steps) else 25.0


def _at(
    values: Float[Tensor, "T D"], known: Float[np.ndarray, "T"], new: Float[np.ndarray, "U"]
) -> Float[Tensor, "U D"]:
    columns = [np.interp(new, known, column) for column in values.numpy().T]
    return torch.from_numpy(np.stack(columns, 1).astype(np.float32))


def _known(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"expected one of its {len(names)}: {shown}, ..."
