"""A subject of the toy rig whose avatar is on disk, without any training."""

from pathlib import Path

import torch

from avatar.gaussians.avatar_file import Avatar, save_avatar
from avatar.gaussians.basis import ExpressionSpace
from avatar.rig import HeadRig
from tests.gaussians import random_gaussians
from tests.scenes import moving_params

STEPS = 6


def save_subject(results: Path, rig: HeadRig, sh_degree: int = 2) -> Path:
    """`results/toy` with an avatar of small random Gaussians, and its rig; returns the folder."""
    gaussians = random_gaussians(len(rig.faces), sh_degree)
    gaussians.sh_rest *= 0.2
    params = moving_params(rig, STEPS)
    params.shape[:] = torch.linspace(-1, 1, rig.num_shape)
    params.static_offset[:, 2] = 0.002
    rig.save(results / "rigs" / f"{rig.name}.npz")
    (results / "toy/avatar").mkdir(parents=True)
    space = ExpressionSpace.fit(params, torch.arange(4), 2)
    save_avatar(results / "toy/avatar", Avatar(gaussians, params, {}, space))
    return results / "toy"
