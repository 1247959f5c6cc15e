"""What goes into a renderer and what comes out of it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Splats(NamedTuple):
    """Gaussians in the world frame, as every backend takes them; see `avatar.render.rasterize`."""

    means: Float[Tensor, "*batch N 3"]
    quats: Float[Tensor, "*batch N 4"]
    scales: Float[Tensor, "*batch N 3"]
    opacities: Float[Tensor, "*#batch N"]
    colors: Float[Tensor, "..."]
    sh_degree: int | None = None


class Views(NamedTuple):
    """C pinhole cameras of each timestep, whose images have one size.

    Attributes:
        viewmats: world-to-camera.
        Ks: intrinsics, pixels.
        width: pixels.
        height: pixels.
    """

    viewmats: Float[Tensor, "*batch C 4 4"]
    Ks: Float[Tensor, "*batch C 3 3"]
    width: int
    height: int

    def to(self, device: torch.device | str) -> "Views":
        """The same cameras with their tensors on a device."""
        return self._replace(viewmats=self.viewmats.to(device), Ks=self.Ks.to(device))


# Images [..., C, H, W, 3], alphas [..., C, H, W, 1], and `means2d` and `radii` by name.
Rasterized = tuple[Float[Tensor, "*batch C H W 3"], Float[Tensor, "*batch C H W 1"], dict[str, Any]]


@dataclass(frozen=True)
class WorldGaussians:
    """Activated Gaussians in the world frame, ready to be rendered.

    ``...`` is the batch of timesteps. ``opacities`` and ``sh_coeffs`` may drop it, and are then
    shared by the whole batch (one avatar in several poses).

    Attributes:
        means: centres, metres, world frame.
        quats: rotations, wxyz; any non-zero length, the renderer normalises.
        scales: standard deviations along the three axes, metres.
        opacities: 0..1.
        sh_coeffs: spherical-harmonics coefficients of the colour; the colour seen along a
            direction is ``SH + 0.5``, cut off below 0.
        sh_degree: 0..3; the first ``(sh_degree + 1) ** 2`` coefficients are used.
    """

    means: Float[Tensor, "*batch N 3"]
    quats: Float[Tensor, "*batch N 4"]
    scales: Float[Tensor, "*batch N 3"]
    opacities: Float[Tensor, "*#batch N"]
    sh_coeffs: Float[Tensor, "*#batch N K 3"]
    sh_degree: int


@dataclass(frozen=True)
class RenderOutput:
    """Images of one batch of timesteps (``...``) from C cameras.

    Attributes:
        rgb: colour over the background; 0..1 where the Gaussians' colours are.
        alpha: coverage, 0..1.
        means2d: projected centres, pixels, 0 where ``radii`` is 0. Part of the graph, and keeps
            its gradient: ``means2d.grad`` is there after ``backward``.
        radii: half width and half height in pixels, rounded up, of the box that holds all of a
            Gaussian that can be seen; both 0 where the Gaussian does not touch the image.
    """

    rgb: Float[Tensor, "*batch C H W 3"]
    alpha: Float[Tensor, "*batch C H W 1"]
    means2d: Float[Tensor, "*batch C N 2"]
    radii: Int[Tensor, "*batch C N 2"]
