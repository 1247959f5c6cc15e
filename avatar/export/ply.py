"""`local_frame.ply`: the Gaussians in GaussianAvatars' columns, each in its triangle's frame.

It is not a scene for splat viewers: without the posed mesh every Gaussian lies near the origin.
Means, scales and rotations are in the frame of the triangle `binding_0`, before activation.

Rotations are converted to the order of GaussianAvatars' published code. This package composes
`q_world = q_face (x) q_local`, as their paper has it; their code `q_world = rot (x) q_face`. Both
are equal for `rot = q_face (x) q_local (x) conj(q_face)`, which depends on the pose unless q_local
is the identity, so no constant column is exact. The file has the value of the subject's rest pose:
exact there, and off by little where the head turns little (docs/outputs.md).
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.export import scene_ply
from avatar.gaussians.model import RiggedGaussians
from avatar.rig.rotations import quat_multiply

NAME = "local_frame.ply"
_CONJUGATE = torch.tensor([1.0, -1.0, -1.0, -1.0])
_COMMENTS = (
    "Gaussians in the local frames of a head rig's triangles; not a scene for splat viewers",
    "binding_0: triangle of each Gaussian; all columns before activation",
    "to world: mean = k R mean_local + centroid, scale = k exp(scale), alpha = sigmoid(opacity)",
    "rotation (wxyz): q_world = rot q_face, as in GaussianAvatars' code; exact in the rest pose",
    "an expression basis of the avatar is not in this file",
)


def save_ply(path: Path, gaussians: RiggedGaussians, rest: Float[Tensor, "F 4"]) -> None:
    """Write the Gaussians, atomically.

    Args:
        rest: rotation of each face on the subject's unposed, expressionless mesh, wxyz.

    Columns, all float32: those of `scene_ply` and `binding_0`.
    """
    scene_ply.write(path, _COMMENTS, ply_columns(), ply_table(gaussians, rest))


def ply_columns() -> list[str]:
    """Names of the columns, in order."""
    return [*scene_ply.COLUMNS, "binding_0"]


def ply_table(gaussians: RiggedGaussians, rest: Float[Tensor, "F 4"]) -> Float[np.ndarray, "N 63"]:
    """One row per Gaussian, in the order of `ply_columns`; arguments as in `save_ply`."""
    values = gaussians.to("cpu").tensors()
    place = [values["means_local"], torch.zeros(len(gaussians), 3)]
    color = scene_ply.color_columns(torch.cat([values["sh_dc"], values["sh_rest"]], 1))
    face = rest[values["binding"]]
    quats = quat_multiply(quat_multiply(face, values["quats_local"]), face * _CONJUGATE)
    form = [values["opacity_logits"][:, None], values["log_scales"], quats]
    return torch.cat([*place, color, *form, values["binding"][:, None].float()], 1).numpy()
