"""Whether tensors read from a file are an avatar's: names, types, shapes, finiteness, ranges.

Kernels index by `binding` without a check, so what passes here can be rendered.
"""

import torch
from torch import Tensor

from avatar.rig import HeadRig

_COEFFICIENTS = (0, 3, 8, 15)  # `sh_rest` at degree 0, 1, 2, 3
_MAX_LOG_SCALE = 20.0  # 5e8 face scales; beyond about 44 their squares overflow

Shapes = dict[str, tuple[int, ...]]


def find_problem(
    gaussians: dict[str, Tensor], space: dict[str, Tensor], rig: HeadRig
) -> str | None:
    """A description of the first problem; None if the rig can carry these Gaussians.

    Args:
        gaussians: the tensors of `RiggedGaussians` by name.
        space: those of `ExpressionSpace`; empty without a basis.
    """
    if set(gaussians) != set(_gaussian_shapes(gaussians)):
        return f"holds {', '.join(sorted(gaussians))}: not the tensors of Gaussians"
    shapes = _gaussian_shapes(gaussians)
    basis = shapes["basis_means"][-1]
    if set(space) != set(_space_shapes(basis, rig) if basis else {}):
        return f"has a basis of {basis} and an expression space of {sorted(space)}"
    if basis:
        shapes |= _space_shapes(basis, rig)
    for name, value in (gaussians | space).items():
        if (problem := _array_problem(name, value, shapes[name])) is not None:
            return problem
    return _range_problem(gaussians, len(rig.faces))


def _gaussian_shapes(found: dict[str, Tensor]) -> Shapes:
    n = _length(found.get("binding"), 0)
    rest, basis = _length(found.get("sh_rest"), 1), _length(found.get("basis_means"), 2)
    shapes: Shapes = {"binding": (n,), "opacity_logits": (n,), "sh_dc": (n, 1, 3)}
    shapes |= {"means_local": (n, 3), "log_scales": (n, 3), "quats_local": (n, 4)}
    shapes |= {"basis_means": (n, 3, basis), "basis_colors": (n, 3, basis)}
    return shapes | {"sh_rest": (n, rest, 3)}


def _space_shapes(basis: int, rig: HeadRig) -> Shapes:
    width = rig.num_expr + 3  # expression and jaw
    return {"mean": (width,), "axes": (width, basis), "lowest": (basis,), "highest": (basis,)}


def _length(tensor: Tensor | None, axis: int) -> int:
    return tensor.shape[axis] if tensor is not None and tensor.ndim > axis else 0


def _array_problem(name: str, value: Tensor, shape: tuple[int, ...]) -> str | None:
    dtype = torch.int64 if name == "binding" else torch.float32
    if tuple(value.shape) != shape or value.dtype != dtype:
        return f"{name} is {value.dtype} {list(value.shape)}, expected {dtype} {list(shape)}"
    if not bool(value.isfinite().all()):
        return f"{name} holds NaN or infinity"
    return None


def _range_problem(gaussians: dict[str, Tensor], num_faces: int) -> str | None:
    binding = gaussians["binding"]
    if len(binding) == 0:
        return "holds no Gaussians"
    lowest, highest = int(binding.min()), int(binding.max())
    if lowest < 0 or highest >= num_faces:
        return f"binding is {lowest}..{highest}, the rig has {num_faces} faces"
    if gaussians["sh_rest"].shape[1] not in _COEFFICIENTS:
        return f"sh_rest has {gaussians['sh_rest'].shape[1]} coefficients, expected {_COEFFICIENTS}"
    if (largest := float(gaussians["log_scales"].max())) > _MAX_LOG_SCALE:
        return f"log_scales reach {largest:.3g}, expected at most {_MAX_LOG_SCALE}"
    if not bool((gaussians["quats_local"].norm(dim=1) > 0).all()):
        return "quats_local holds a quaternion of length zero"
    return None
