"""Gaussians of arbitrary values, for tests of what moves, copies or writes them."""

import torch

from avatar.gaussians.model import RiggedGaussians


def random_gaussians(n: int, sh_degree: int = 1, basis: int = 2, seed: int = 0) -> RiggedGaussians:
    """Normal numbers everywhere, one Gaussian on each of n faces, in reversed order."""
    generator = torch.Generator().manual_seed(seed)
    start = RiggedGaussians.on_faces(n, sh_degree, basis=basis)
    values = {
        name: torch.randn(value.shape, generator=generator)
        if value.is_floating_point()
        else value.flip(0)
        for name, value in start.tensors().items()
    }
    return RiggedGaussians(**values)
