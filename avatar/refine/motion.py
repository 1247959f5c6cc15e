"""What is refined of a timestep, as one vector: poses, gaze, expression, soft offsets."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.refine.bodies import CHAIN, chain_jacobian
from avatar.rig import HeadRig, RigParams

# By how much a tracked value may be wrong: rad, m, and coefficients of an expression. A step of
# the descent is measured in these units, so that all change alike.
UNITS = {
    "rotation": 0.05,
    "translation": 0.01,
    "neck_pose": 0.05,
    "neck_shift": 0.01,
    "jaw_pose": 0.03,
    "eyes_pose": 0.1,
    "expr": 0.1,
    "soft_offset": 0.008,
}
assert tuple(UNITS)[: len(CHAIN)] == CHAIN, "the Jacobian below is of the first entries"
_CHAINED = 3 * len(CHAIN)  # entries of the vector that pose head and torso


def stack(params: RigParams, timesteps: Int[Tensor, "S"]) -> Float[Tensor, "S D"]:
    """The refined parameters of some timesteps, side by side."""
    return torch.cat([getattr(params, name)[timesteps] for name in UNITS], 1)


def split(values: Float[Tensor, "S D"], params: RigParams) -> dict[str, Float[Tensor, "S _"]]:
    """The parameters by name: the inverse of `stack`."""
    widths = [getattr(params, name).shape[1] for name in UNITS]
    return dict(zip(UNITS, values.split(widths, 1), strict=True))


def changed(
    params: RigParams, timesteps: Int[np.ndarray, "S"], change: Float[Tensor, "S D"]
) -> RigParams:
    """The same parameters, changed at some timesteps."""
    at = torch.from_numpy(timesteps)
    new: dict[str, Any] = {}
    for name, part in split(change, params).items():
        new[name] = getattr(params, name).clone()
        new[name][at] += part
    return replace(params, **new)


def units(params: RigParams) -> Float[Tensor, "D"]:
    """The unit of every entry of the vector."""
    return torch.cat(
        [params.expr.new_full((getattr(params, n).shape[1],), u) for n, u in UNITS.items()]
    )


def body_jacobian(
    values: Float[Tensor, "S D"], params: RigParams, rig: HeadRig
) -> Float[Tensor, "S 12 12"]:
    """`bodies.chain_jacobian` at some values: the first entries by motions of head and torso."""
    parts = split(values, params)
    return chain_jacobian(rig, params.shape, {name: parts[name] for name in CHAIN})


def body_gradient(
    gradient: Float[Tensor, "S D"], jacobian: Float[Tensor, "S 12 12"]
) -> Float[Tensor, "S D"]:
    """A gradient whose first entries are with respect to motions of head and torso."""
    first = jacobian.mT @ gradient[:, :_CHAINED, None]
    return torch.cat([first[..., 0], gradient[:, _CHAINED:]], 1)


def chain_step(
    step: Float[Tensor, "S D"], jacobian: Float[Tensor, "S 12 12"]
) -> Float[Tensor, "S D"]:
    """A step of the vector, from one whose first entries are motions of head and torso."""
    first = jacobian @ step[:, :_CHAINED, None]
    return torch.cat([first[..., 0], step[:, _CHAINED:]], 1)


def evened(squares: Float[Tensor, "S D"], params: RigParams) -> Float[Tensor, "S D"]:
    """Squared gradients, those of the control points replaced by their mean over the points.

    So one step is common to the points, as Nicolet et al., 2021, have it, and a point that few
    pixels tell of stays where it is: by itself it would go as far as any other.
    """
    parts = split(squares, params)
    soft = parts["soft_offset"]
    parts["soft_offset"] = soft.mean(1, keepdim=True).expand_as(soft)
    return torch.cat(list(parts.values()), 1)


def conjugate(gradient: Float[Tensor, "S D"], params: RigParams) -> Float[Tensor, "S D"]:
    """A gradient by which both eyes turn alike, and neither about its line of sight.

    A few pixels of iris and lashes tell little: eyes that turn by themselves come to squint.
    """
    parts = split(gradient, params)
    left, right = parts["eyes_pose"].split(3, 1)
    both = (left + right) / 2 * left.new_tensor([1.0, 1.0, 0.0])
    parts["eyes_pose"] = both.repeat(1, 2)
    return torch.cat(list(parts.values()), 1)


def within_range(
    values: Float[Tensor, "S D"], params: RigParams, rig: HeadRig
) -> Float[Tensor, "S D"]:
    """Actions stay within 0 and 1; directions of variance have no range."""
    if rig.principal_expr:
        return values
    parts = split(values, params)
    parts["expr"] = parts["expr"].clamp(0, 1)
    return torch.cat(list(parts.values()), 1)


def interpolated(
    params: RigParams,
    timesteps: Int[np.ndarray, "S"],
    change: Float[Tensor, "S D"],
    others: Int[np.ndarray, "R"],
) -> RigParams:
    """A change that is known at some timesteps, at others: linear between and held beyond.

    It is interpolated within each sequence; a sequence of which none is known stays as it is.
    """
    _, clip = np.unique(params.sequence, return_inverse=True)
    for number in np.unique(clip[timesteps]):
        rows, known = others[clip[others] == number], clip[timesteps] == number
        columns = change[torch.from_numpy(known)].numpy().T
        added = np.stack([np.interp(rows, timesteps[known], column) for column in columns], 1)
        params = changed(params, rows, torch.from_numpy(added.astype(np.float32)))
    return params
