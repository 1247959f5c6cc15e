"""The renderer for CUDA tensors: gsplat 1.5.3 behind the contract of :mod:`avatar.render`.

gsplat compiles its CUDA sources the first time a machine calls it. So it is imported only when
there is a CUDA device to render on, and :func:`load` reports in one line why it cannot be used.

The call to gsplat is surrounded by what it leaves to its caller: coefficients that are not used
yet are not passed, Gaussians that are not finite are hidden, and `means2d` is set to zero where
nothing is seen, because gsplat leaves that memory uninitialised.
"""

from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.base.errors import UserError
from avatar.render import reference
from avatar.render.reference import EPS2D, FAR, NEAR
from avatar.render.types import Rasterized, Splats, Views

CAPABILITY = (7, 0)  # gsplat partitions warps by label, which older devices cannot
# Threads of a warp. gsplat 1.5.3 adds up the gradients of equal indices within a warp: with fewer
# Gaussians than threads a warp reaches into the next timestep, and theirs are mixed.
_WARP = 32
_HIDE = "set CUDA_VISIBLE_DEVICES= to use the CPU"
_BUILD_LINE = 300  # characters of a compiler's complaint that fit a line


def rasterize(
    splats: Splats, views: Views, backgrounds: Float[Tensor, "*batch C 3"] | None = None
) -> Rasterized:
    """See :func:`avatar.render.rasterize`; every output is differentiable.

    Gradients are summed by atomics: their last bits differ from run to run. Gaussians that are
    not finite are not rendered. Fewer than 32 Gaussians are rendered by `reference`: slower, and
    right for none at all and for several timesteps, where gsplat 1.5.3 is not.

    Raises:
        ValueError: the tensors are not float32 on a CUDA device.
        UserError: gsplat cannot be used on this machine, and why.
    """
    means = splats.means
    if means.dtype != torch.float32 or means.device.type != "cuda":
        raise ValueError(
            f"means: backend 'gsplat' expects float32 on cuda, got {means.dtype} on {means.device};"
            " convert, or use backend 'reference'"
        )
    if means.shape[-2] < _WARP:
        return reference.rasterize(splats, views, backgrounds)
    with torch.cuda.device(means.device):
        return _by_gsplat(load().rasterization, splats, views, backgrounds)


@lru_cache(maxsize=1)
def load() -> ModuleType:
    """The package gsplat with its kernels, compiled (minutes, once a machine) or read back.

    gsplat 1.5.3 ignores the lock of a build that another process has begun: compile before
    several runs start at once (`headsplat doctor --gpu`).

    Raises:
        UserError: no CUDA in this torch, no device, too old a device, no nvcc, a failed build.
    """
    if torch.version.cuda is None:
        raise _unusable(
            f"torch {torch.__version__} is built without CUDA: on a CUDA machine install torch's"
            " default wheel"
        )
    if not torch.cuda.is_available():
        raise _unusable(
            f"torch {torch.__version__} sees no CUDA device: check `nvidia-smi`, the driver and"
            " CUDA_VISIBLE_DEVICES"
        )
    capability = torch.cuda.get_device_capability()
    if capability < CAPABILITY:
        raise _unusable(
            "{} has compute capability {}.{}, expected {}.{} or more: {}".format(
                torch.cuda.get_device_name(), *capability, *CAPABILITY, _HIDE
            )
        )
    try:
        # Compiles, or reads what was compiled; None where there is no compiler.
        from gsplat.cuda._backend import _C as kernels
    except Exception as problem:  # of the compiler, the linker or the loader
        text = " ".join(str(problem).split())[:_BUILD_LINE]
        raise _unusable(f"its CUDA sources do not compile ({text}): {_HIDE}") from problem
    if kernels is None:
        raise _unusable(
            f"there is no CUDA compiler: install the toolkit of CUDA {torch.version.cuda} and put"
            f" its nvcc on the PATH, or its folder into CUDA_HOME; or {_HIDE}"
        )
    import gsplat

    return gsplat


def _unusable(why: str) -> UserError:
    return UserError(f"backend 'gsplat' cannot be used: {why}")


def _by_gsplat(
    rasterization: Callable[..., tuple[Tensor, Tensor, dict[str, Any]]],
    splats: Splats,
    views: Views,
    backgrounds: Tensor | None,
) -> Rasterized:
    """Our arguments to gsplat's `rasterization`, its results to ours."""
    means, quats, scales, opacities, colors, sh_degree = splats
    # Opacity 0 hides: gsplat drops what is fainter than 1/255 before it bins or blends.
    sound = torch.isfinite(torch.cat([means, quats, scales], -1)).all(-1) & (opacities > 0)
    if sh_degree is not None:  # gsplat copies the coefficients for every image
        colors = colors[..., : (sh_degree + 1) ** 2, :]
    each = 2 if sh_degree is None else 3
    images, alphas, meta = rasterization(
        means,
        quats,
        scales,
        torch.where(sound, opacities, 0.0),
        colors.expand(*means.shape[:-2], *colors.shape[-each:]),
        *views,
        near_plane=NEAR,
        far_plane=FAR,
        eps2d=EPS2D,
        sh_degree=sh_degree,
        packed=False,
        backgrounds=backgrounds,
        render_mode="RGB",
    )
    means2d, radii = meta["means2d"], meta["radii"]
    # In place, past autograd: the graph holds this tensor, and its kernels read only what is seen.
    means2d.data.masked_fill_((radii == 0).any(-1, keepdim=True), 0.0)
    if means2d.requires_grad:
        means2d.retain_grad()
    return images, alphas, {"means2d": means2d, "radii": radii}
