"""Arguments of `rasterize`, checked once for all backends."""

import torch
from torch import Tensor

from avatar.render.types import Splats, Views

MAX_SH_DEGREE = 3


def check_inputs(splats: Splats, views: Views, backgrounds: Tensor | None) -> None:
    """Check shapes, dtypes, devices and the absence of gradients for constants.

    Raises:
        ValueError: names the argument, what was expected and what came.
    """
    means, viewmats = splats.means, views.viewmats
    _expect(means.ndim >= 2 and means.shape[-1] == 3, "means", "[..., N, 3]", means)
    batch, n = tuple(means.shape[:-2]), means.shape[-2]
    _expect(viewmats.ndim == len(batch) + 3, "viewmats", f"[{_dims(batch)}C, 4, 4]", viewmats)
    cameras = viewmats.shape[-3]
    sizes: dict[str, object] = {"width": views.width, "height": views.height}
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected an int above 0, got {value!r}")

    _shape("quats", splats.quats, (*batch, n, 4))
    _shape("scales", splats.scales, (*batch, n, 3))
    _shape("opacities", splats.opacities, (*batch, n), (n,))
    _shape("viewmats", viewmats, (*batch, cameras, 4, 4))
    _shape("Ks", views.Ks, (*batch, cameras, 3, 3))
    _check_colors(splats.colors, batch, n, splats.sh_degree)
    if backgrounds is not None:
        _shape("backgrounds", backgrounds, (*batch, cameras, 3))

    constants = {"viewmats": viewmats, "Ks": views.Ks, "backgrounds": backgrounds}
    named: dict[str, Tensor | None]
    named = {name: getattr(splats, name) for name in ("quats", "scales", "opacities", "colors")}
    _same_kind(means, named | constants)
    for name, tensor in constants.items():
        if tensor is not None and tensor.requires_grad:
            raise ValueError(f"{name}: gets no gradient here, pass {name}.detach()")


def _check_colors(colors: Tensor, batch: tuple[int, ...], n: int, sh_degree: int | None) -> None:
    if sh_degree is None:
        _shape("colors", colors, (*batch, n, 3), (n, 3))
        return
    if sh_degree not in range(MAX_SH_DEGREE + 1):
        raise ValueError(f"sh_degree: expected 0..{MAX_SH_DEGREE}, got {sh_degree!r}")
    bases = colors.shape[-2] if colors.ndim >= 3 else 0
    _shape("colors", colors, (*batch, n, bases, 3), (n, bases, 3))
    if bases < (sh_degree + 1) ** 2:
        raise ValueError(
            f"colors: sh_degree {sh_degree} needs {(sh_degree + 1) ** 2} coefficients, got {bases}"
        )


def _same_kind(means: Tensor, others: dict[str, Tensor | None]) -> None:
    _expect(means.dtype in (torch.float32, torch.float64), "means", "float32 or float64", means)
    for name, tensor in others.items():
        if tensor is None:
            continue
        if tensor.dtype != means.dtype:
            raise ValueError(f"{name}: expected {means.dtype} like means, got {tensor.dtype}")
        if tensor.device != means.device:
            raise ValueError(f"{name}: expected on {means.device} like means, got {tensor.device}")


def _shape(name: str, tensor: Tensor, *allowed: tuple[int, ...]) -> None:
    if tuple(tensor.shape) not in allowed:
        expected = " or ".join(str(list(shape)) for shape in dict.fromkeys(allowed))
        raise ValueError(f"{name}: expected shape {expected}, got {list(tensor.shape)}")


def _expect(holds: bool, name: str, expected: str, tensor: Tensor) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {list(tensor.shape)} {tensor.dtype}")


def _dims(batch: tuple[int, ...]) -> str:
    return "".join(f"{size}, " for size in batch)
