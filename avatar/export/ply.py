"""`local_frame.ply`: the Gaussians in GaussianAvatars' columns, each in its triangle's frame.

It is not a scene for splat viewers: without the posed mesh every Gaussian lies near the origin.
Means, scales and rotations are in the frame of the triangle `binding_0`, before activation.

Rotations are those of this package: the world rotation is `q_face (x) q_local`, as the paper of
GaussianAvatars has it. Its published code composes `q_local (x) q_face`. A local rotation q' with
`q' (x) q_face = q_face (x) q_local` is `q_face (x) q_local (x) conj(q_face)`: it changes with the
pose unless q_local is the identity, so no constant column serves both, and the file holds ours.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from avatar.base import files
from avatar.gaussians.model import RiggedGaussians

NAME = "local_frame.ply"
_REST = 45  # f_rest columns of degree 3, which readers expect whatever degree is used
_COMMENTS = (
    "Gaussians in the local frames of a head rig's triangles; not a scene for splat viewers",
    "binding_0: triangle of each Gaussian; all columns before activation",
    "to world: mean = k R mean_local + centroid, scale = k exp(scale), alpha = sigmoid(opacity)",
    "rotation (wxyz): q_world = q_face q_local; GaussianAvatars' code has q_local q_face",
    "an expression basis of the avatar is not in this file",
)


def save_ply(path: Path, gaussians: RiggedGaussians) -> None:
    """Write the Gaussians, atomically.

    Columns, all float32: x y z nx ny nz f_dc_0..2 f_rest_0..44 opacity scale_0..2 rot_0..3
    binding_0. `f_rest` runs over coefficients within a channel; unused degrees are zero.
    """
    table = ply_table(gaussians)
    header = "ply\nformat binary_little_endian 1.0\n"
    header += "".join(f"comment {line}\n" for line in _COMMENTS)
    header += f"element vertex {len(table)}\n"
    header += "".join(f"property float {name}\n" for name in ply_columns())
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        file.write((header + "end_header\n").encode())
        file.write(table.astype("<f4").tobytes())


def ply_columns() -> list[str]:
    """Names of the columns, in order."""
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3))]
    names += [f"f_rest_{i}" for i in range(_REST)]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    return [*names, "binding_0"]


def ply_table(gaussians: RiggedGaussians) -> Float[np.ndarray, "N 63"]:
    """One row per Gaussian, in the order of `ply_columns`."""
    values = gaussians.to("cpu").tensors()
    n = len(gaussians)
    rest = torch.zeros(n, 3, _REST // 3)
    rest[:, :, : values["sh_rest"].shape[1]] = values["sh_rest"].transpose(1, 2)
    place = [values["means_local"], torch.zeros(n, 3)]
    color = [values["sh_dc"][:, 0], rest.flatten(1)]
    form = [values["opacity_logits"][:, None], values["log_scales"], values["quats_local"]]
    return torch.cat([*place, *color, *form, values["binding"][:, None].float()], 1).numpy()
