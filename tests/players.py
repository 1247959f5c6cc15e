"""A small avatar that has everything an avatar can have, for tests of the player."""

from dataclasses import replace

import torch

from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.model import RiggedGaussians
from avatar.rig import HeadRig, RigParams
from tests.rigs import toy_rig
from tests.scenes import moving_params

BASIS = 3


def full_rig(name: str = "toy", actions: bool = False) -> HeadRig:
    """The toy rig with pose correctives and joints that follow expressions.

    Args:
        actions: its expressions have the names of ARKit's.
    """
    rig = toy_rig()
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return 0.001 * torch.randn(shape, generator=generator)

    more = {"posedirs": noise(rig.num_verts, 3, 36), "joint_exprdirs": noise(5, 3, rig.num_expr)}
    names = ["eyeBlinkLeft", "mouthSmileLeft", "browInnerUp", "mouthPucker"]
    names = names if actions else rig.expr_names
    return HeadRig(name, rig.tensors() | more, names, rig.masks, rig.landmarks)


def full_avatar(rig: HeadRig, timesteps: int = 12, sh_degree: int = 3) -> Avatar:
    """Coloured Gaussians on every face of the toy rig, with a basis, in motion."""
    generator = torch.Generator().manual_seed(1)
    start = RiggedGaussians.on_faces(len(rig.faces), sh_degree, opacity=0.9, basis=BASIS)

    def noise(like: torch.Tensor, size: float) -> torch.Tensor:
        return like + size * torch.randn(like.shape, generator=generator)

    gaussians = replace(
        start,
        means_local=noise(start.means_local, 0.2),
        log_scales=noise(start.log_scales - 1.0, 0.4),
        quats_local=noise(start.quats_local, 0.5),
        opacity_logits=noise(start.opacity_logits, 2.0),
        sh_dc=noise(start.sh_dc, 0.8),
        sh_rest=noise(start.sh_rest, 0.1),
        basis_means=noise(start.basis_means, 0.2),
        basis_colors=noise(start.basis_colors, 0.2),
    )
    params = moving(rig, timesteps)
    return Avatar(gaussians, params, {}, ExpressionSpace.fit(params, torch.arange(8), BASIS))


def moving(rig: HeadRig, timesteps: int) -> RigParams:
    """Random poses of somebody who is not the rig's template."""
    params = moving_params(rig, timesteps)
    offset = 0.001 * torch.randn(rig.num_verts, 3, generator=torch.Generator().manual_seed(2))
    return replace(params, shape=torch.tensor([1.0, -1.0, 0.5]), static_offset=offset)
