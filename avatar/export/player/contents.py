"""What the player gets of an avatar: the subject's own rig, the Gaussians, the recorded motion.

Identity and static offset are added to the template, so that shape directions are not needed.
Arrays are stored by component, `[component, item]`: each row is quantised by its own step, and
the player goes through memory in order.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.export.player.block import Quantised, pack, quantise
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.basis import FADE
from avatar.gaussians.model import RiggedGaussians
from avatar.render.reference import MIN_ALPHA
from avatar.rig import HeadRig, RigParams, arkit
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix

FORMAT = 1  # of the block; the page that reads it is in the same file
_VIEWED = 16  # timesteps that the first view is computed from
_FIELD_OF_VIEW = 24.0  # degrees, vertical: what a portrait is taken with
_MARGIN = 1.05  # what the first view shows beside the head, in radii of it

BY_COMPONENT = ("expr", "soft_offset")  # of the motion: long enough to be quantised

Arrays = dict[str, np.ndarray | Quantised]


def player_block(avatar: Avatar, rig: HeadRig, subject: str) -> bytes:
    """The player's data; `restore` reads it back.

    Args:
        avatar: on any device.
        subject: shown in the page's title.
    """
    params = avatar.params
    gaussians = _visible(avatar.gaussians.to("cpu"))
    header = {
        "format": FORMAT,
        "subject": subject,
        "rig": rig.name,
        "parents": rig.parents.tolist(),
        "expressions": rig.expr_names,
        "principal": rig.principal_expr,
        "actions": {name: list(turn) for name, turn in arkit.ROTATIONS.items()},
        "sh_degree": gaussians.sh_degree,
        "basis_fade": FADE,
        "home": _home(rig, params),
        "sequences": _sequences(params),
        "seconds_per_step": _step(params),
    }
    arrays = _rig_arrays(rig, params) | _gaussian_arrays(gaussians) | _motion_arrays(params)
    if avatar.space is not None:
        arrays |= {f"space_{name}": v.cpu().numpy() for name, v in vars(avatar.space).items()}
    return pack(header, arrays)


def _visible(gaussians: RiggedGaussians) -> RiggedGaussians:
    """Those that a renderer would not skip for their opacity."""
    seen = gaussians.opacity_logits.sigmoid() >= MIN_ALPHA
    return RiggedGaussians(**{name: value[seen] for name, value in gaussians.tensors().items()})


def _rig_arrays(rig: HeadRig, params: RigParams) -> Arrays:
    tensors = rig.tensors()
    neutral = torch.zeros(rig.num_expr)
    rest = rig.rest(params.shape, neutral, params.static_offset)
    arrays: Arrays = {
        "rest": rest.numpy(),
        "joints": rig.joints(params.shape).numpy(),
        "faces": rig.faces.numpy().astype(np.uint32),
        "skin_weights": quantise(rig.skin_weights.T.numpy(), "uint16"),
        "control_weights": quantise(rig.control_weights.T.contiguous().numpy(), "uint16"),
        "exprdirs": quantise(_by_component(rig.exprdirs), "int16"),
    }
    if "posedirs" in tensors:
        arrays["posedirs"] = quantise(_by_component(tensors["posedirs"]), "int16")
    if "joint_exprdirs" in tensors:
        arrays["joint_exprdirs"] = _by_component(tensors["joint_exprdirs"])
    return arrays


def _by_component(directions: Float[Tensor, "V 3 E"]) -> Float[np.ndarray, "E V3"]:
    return directions.flatten(0, 1).T.contiguous().numpy()


def _gaussian_arrays(gaussians: RiggedGaussians) -> Arrays:
    """The Gaussians by component; a basis and view dependence are fine at 8 bits."""
    values = {
        name: value.flatten(1).T.numpy() if value.ndim > 1 else value.numpy()[None]
        for name, value in gaussians.tensors().items()
    }
    unit = torch.nn.functional.normalize(gaussians.quats_local, dim=1)
    arrays: Arrays = {
        "binding": values["binding"][0].astype(np.uint32),
        "means": quantise(values["means_local"], "int16"),
        "quats": quantise(unit.T.numpy(), "int16"),
        "log_scales": quantise(values["log_scales"], "int16"),
        "opacities": quantise(gaussians.opacity_logits.sigmoid().numpy()[None], "uint16"),
        "sh_dc": quantise(values["sh_dc"], "int16"),
    }
    for name in ("sh_rest", "basis_means", "basis_colors"):
        if len(values[name]):
            arrays[name] = quantise(values[name], "int8")
    return arrays


def _motion_arrays(params: RigParams) -> Arrays:
    return {
        f"motion_{name}": quantise(getattr(params, name).T.contiguous().numpy(), "int16")
        if name in BY_COMPONENT
        else getattr(params, name).numpy()
        for name in POSES
    }


def _home(rig: HeadRig, params: RigParams) -> dict[str, Any]:
    """The first view: the head from the front, upright as it is on average.

    `turn` is world-to-camera by rows (OpenCV axes), `timestep` the most ordinary head pose.
    """
    valid = np.flatnonzero(params.valid) if params.valid.any() else np.arange(len(params))
    chosen = torch.from_numpy(valid[np.linspace(0, len(valid) - 1, _VIEWED).astype(int)])
    poses = axis_angle_to_matrix(params.rotation[chosen])
    turns = poses @ axis_angle_to_matrix(params.neck_pose[chosen])
    left, _, right = torch.linalg.svd(turns.mean(0).double())
    sign = torch.diag(torch.tensor([1.0, 1.0, float(torch.det(left @ right))]).double())
    mean = left @ sign @ right
    nearest = int((turns.double() * mean).sum((-1, -2)).argmax())
    head = rig(**params.poses(chosen))[:, ~rig.masks["neck"]]
    distance = _MARGIN * rig.head_radius / np.tan(np.radians(_FIELD_OF_VIEW / 2))
    return {
        "turn": (torch.diag(torch.tensor([1.0, -1, -1]).double()) @ mean.T).flatten().tolist(),
        "target": head.mean((0, 1)).tolist(),
        "distance": float(distance),
        "field_of_view": _FIELD_OF_VIEW,
        "timestep": int(chosen[nearest]),
    }


def _sequences(params: RigParams) -> list[dict[str, Any]]:
    """Name and first timestep of each recorded sequence, in order."""
    names = params.sequence
    firsts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()]
    return [{"name": str(names[first]), "first": first} for first in firsts]


def _step(params: RigParams) -> float:
    """Seconds from one timestep to the next."""
    steps = np.diff(params.time)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1 / 25
