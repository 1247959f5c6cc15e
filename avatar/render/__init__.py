"""Rendering Gaussians: one function, several backends.

``reference`` is plain torch, slow and simple, on any device; ``cpu`` is the fast one for
CPU tensors, ``gsplat`` the one for CUDA tensors. All follow gsplat 1.5.3: pixel centres at +0.5,
0.3 px^2 added to every footprint, alpha capped at 0.999 and skipped below 1/255, a pixel finished
before its transmittance falls to 1e-4.
Cameras are OpenCV (+x right, +y down, +z forward), pinhole, without skew.
"""

from dataclasses import fields
from importlib import import_module
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.render.checks import check_inputs
from avatar.render.types import Rasterized, RenderOutput, Splats, Views, WorldGaussians

__all__ = [
    "Backend",
    "RenderOutput",
    "Views",
    "WorldGaussians",
    "default_device",
    "rasterize",
    "render",
]

Backend = Literal["auto", "cpu", "gsplat", "reference"]
# Imported when first used: each brings a heavy dependency of its own.
_MODULES = {
    "cpu": "avatar.render.cpu",
    "gsplat": "avatar.render.cuda",
    "reference": "avatar.render.reference",
}
# What renders tensors of a device; `auto` takes the first.
_SUITABLE = {"cpu": ("cpu", "reference"), "cuda": ("gsplat", "reference")}


def default_device() -> torch.device:
    """Where training and evaluation render: a CUDA device where torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rasterize(
    means: Float[Tensor, "*batch N 3"],
    quats: Float[Tensor, "*batch N 4"],
    scales: Float[Tensor, "*batch N 3"],
    opacities: Float[Tensor, "*#batch N"],
    colors: Float[Tensor, "..."],
    viewmats: Float[Tensor, "*batch C 4 4"],
    Ks: Float[Tensor, "*batch C 3 3"],
    width: int,
    height: int,
    sh_degree: int | None = None,
    backgrounds: Float[Tensor, "*batch C 3"] | None = None,
    backend: Backend = "auto",
) -> Rasterized:
    """Render N Gaussians from C cameras, for every timestep of the batch ``...``.

    Args:
        means: centres [..., N, 3], metres, world frame.
        quats: rotations [..., N, 4], wxyz; any non-zero length, they are normalised here.
        scales: standard deviations [..., N, 3], metres.
        opacities: [..., N] or, shared by the batch, [N]; 0..1.
        colors: [..., N, 3] without ``sh_degree``; with it, spherical-harmonics coefficients
            [..., N, K, 3], and the colour is ``SH + 0.5`` cut off below 0. Shared by the batch
            when the leading dimensions are left out.
        viewmats: world-to-camera [..., C, 4, 4]; constants, they get no gradient.
        Ks: intrinsics [..., C, 3, 3], pixels; constants as well.
        width: pixels.
        height: pixels.
        sh_degree: 0..3; uses the first ``(sh_degree + 1) ** 2`` coefficients.
        backgrounds: colour behind everything [..., C, 3]; black if None. A constant.
        backend: ``auto`` picks by the tensors' device: ``cpu`` or, for CUDA, ``gsplat``.
    Returns:
        Images [..., C, H, W, 3], alphas [..., C, H, W, 1] and a dictionary: ``means2d``
        [..., C, N, 2] in pixels, which keeps its gradient; ``radii`` [..., C, N, 2] int32 as
        gsplat 1.5.3 gives them, half width and half height in pixels, both 0 where the Gaussian
        does not touch the image (``means2d`` is 0 there too).
    Raises:
        ValueError: an argument has the wrong shape, dtype or device, a camera or background
            asks for a gradient, or the backend does not render tensors of that device.
        UserError: gsplat is wanted and cannot be used on this machine.
    """
    splats = Splats(means, quats, scales, opacities, colors, sh_degree)
    return _rasterize(splats, Views(viewmats, Ks, width, height), backgrounds, backend)


def _rasterize(
    splats: Splats,
    views: Views,
    backgrounds: Float[Tensor, "*batch C 3"] | None,
    backend: Backend,
) -> Rasterized:
    check_inputs(splats, views, backgrounds)
    module = import_module(_MODULES[_resolve(backend, splats.means.device)])
    return module.rasterize(splats, views, backgrounds)


def render(
    gaussians: WorldGaussians,
    views: Views,
    background: Float[Tensor, "3"] | Float[Tensor, "*batch C 3"] | None = None,
    backend: Backend = "auto",
) -> RenderOutput:
    """Render activated Gaussians; :func:`rasterize` with types.

    Args:
        gaussians: world frame, activated.
        views: cameras.
        background: one colour [3] for all images or one for each [..., C, 3]; black if None.
        backend: as in :func:`rasterize`.
    Returns:
        Images and what density control needs.
    Raises:
        ValueError: as :func:`rasterize`.
    """
    if background is not None and background.ndim == 1:
        background = background.expand(*views.viewmats.shape[:-2], -1)
    splats = Splats(*(getattr(gaussians, field.name) for field in fields(gaussians)))
    rgb, alpha, info = _rasterize(splats, views, background, backend)
    return RenderOutput(rgb, alpha, info["means2d"], info["radii"])


def _resolve(backend: str, device: torch.device) -> str:
    suitable = _SUITABLE.get(device.type, ("reference",))
    if backend == "auto":
        return suitable[0]
    if backend not in suitable:
        known = ", ".join(suitable)
        raise ValueError(f"backend: {backend!r} cannot render {device.type} tensors; use {known}")
    return backend
