"""Which way is up in an exported file: the scene is turned, and its Gaussians' colours with it.

This package has y up, z towards the viewer of a face at rest. Viewers of splats disagree: COLMAP's
and the first 3DGS viewers have y down, Blender and most tools of engineering z up.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.render import WorldGaussians
from avatar.render.reference import sh_basis
from avatar.rig.rotations import matrix_to_quat, quat_multiply

# Rows are the axes of the file, in the world's axes; all turn about x.
TURNS = {
    "y": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "z": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "-y": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
}
_DIRECTIONS = 64  # more than the 16 coefficients of degree 3, so that they are determined


def rotation_to(up: str) -> Float[Tensor, "3 3"]:
    """The rotation that takes the world's y axis to an axis of `TURNS`."""
    return torch.tensor(TURNS[up])


def turned(gaussians: WorldGaussians, up: str) -> WorldGaussians:
    """The same scene with another axis up.

    Args:
        up: a key of `TURNS`.
    """
    if up == "y":
        return gaussians
    rotation = rotation_to(up).to(gaussians.means)
    quat = matrix_to_quat(rotation).expand_as(gaussians.quats)
    mixing = sh_rotation(rotation, gaussians.sh_degree)
    used = gaussians.sh_coeffs[..., : len(mixing), :]
    return replace(
        gaussians,
        means=gaussians.means @ rotation.mT,
        quats=quat_multiply(quat, gaussians.quats),
        sh_coeffs=mixing @ used,
    )


def sh_rotation(rotation: Float[Tensor, "3 3"], degree: int) -> Float[Tensor, "K K"]:
    """What spherical-harmonics coefficients are multiplied by where a scene is rotated.

    The rotated scene has in direction `R d` the colour that the scene had in `d`. Harmonics up to
    a degree are closed under rotation, so the system has an exact solution.
    """
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(_DIRECTIONS, 3, dtype=torch.float64, generator=generator)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    before = sh_basis(directions @ rotation.double().cpu(), degree)  # rows: R^T d
    solved = torch.linalg.lstsq(sh_basis(directions, degree), before).solution
    return solved.to(rotation)
