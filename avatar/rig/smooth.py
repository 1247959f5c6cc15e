"""Smooth fields over a mesh: what a descent on vertices needs so that it does not crumple them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from scipy.sparse.linalg import splu
from torch import Tensor

STIFFNESS = 30.0  # the field of a single vertex fades over about sqrt(30) edges


class Smoother:
    """`(I + k L)^-1` with the mesh's graph Laplacian L, differentiable.

    Used as Nicolet et al., "Large Steps in Inverse Rendering of Geometry", 2021, do: the unknown u
    is the field before smoothing, so that every step of a descent on it is smooth.
    """

    def __init__(self, faces: Int[Tensor, "F 3"], count: int) -> None:
        """Factorise once.

        Args:
            count: V, vertices of the mesh.
        """
        corners = faces.cpu().numpy()
        start, end = corners.ravel(), np.roll(corners, -1, 1).ravel()
        # Each pair once in either direction, however many faces share it.
        pairs = np.unique(np.stack([np.r_[start, end], np.r_[end, start]]), axis=1)
        edges = sp.csc_matrix((np.ones(pairs.shape[1]), pairs), (count, count))
        laplacian = sp.diags(np.asarray(edges.sum(1)).ravel()) - edges
        self._solve = splu((sp.eye(count) + STIFFNESS * laplacian).tocsc()).solve

    def __call__(self, field: Float[Tensor, "V C"]) -> Float[Tensor, "V C"]:
        """The field smoothed; float32, on the field's device."""
        return _Solve.apply(field, self._solve)


class _Solve(torch.autograd.Function):
    """A solve of a symmetric system: the gradient is the solve of the gradient."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, solve: Callable[[np.ndarray], np.ndarray]) -> Tensor:
        ctx.solve = solve
        return _solved(field, solve)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _solved(gradients[0], ctx.solve), None


def _solved(field: Tensor, solve: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    result = solve(field.detach().cpu().double().numpy())
    return torch.from_numpy(result.astype(np.float32)).to(field.device)
