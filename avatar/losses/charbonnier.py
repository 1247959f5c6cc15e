"""A robust error of images and its gradient, on the CPU."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor


def charbonnier(
    images: Float[Tensor, "B *S"], truth: Float[Tensor, "B *S"], knee: float
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B *S"]]:
    """Mean of `sqrt(r^2 + knee^2) - knee` over the residuals r of each of a batch.

    Source: Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for
    computed imaging", 1994. Float32 on the CPU; the same bits as autograd's, several times faster.

    Args:
        knee: residual below which the error is about quadratic.
    Returns:
        The errors, and the gradient of their sum with respect to `images`.
    """
    values, expected = (v.detach().contiguous() for v in (images, truth))
    gradient, roots = torch.empty_like(values), torch.empty_like(values)
    share = np.float32(1 / values[0].numel())
    flat = [v.view(-1).numpy() for v in (values, expected, gradient, roots)]
    _squares(*flat, np.float32(knee**2))
    roots.sqrt_()  # torch's, whose last bit can differ from the kernels'
    _errors(*flat[2:], np.float32(knee), share)
    return roots.flatten(1).mean(1), gradient


_JIT: Any = {"cache": True, "error_model": "numpy", "nogil": True}


@njit(**_JIT)
def _squares(values, expected, differences, squares, knee_square):
    for i in range(values.size):
        difference = values[i] - expected[i]
        differences[i] = difference
        squares[i] = difference * difference + knee_square


@njit(**_JIT)
def _errors(differences, roots, knee, share):
    """Turn differences into the gradient, and roots into errors."""
    for i in range(roots.size):
        differences[i] *= share / roots[i]
        roots[i] -= knee
