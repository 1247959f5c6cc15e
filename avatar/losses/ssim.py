"""Structural similarity in torch, and the whole appearance loss fused in Numba for the CPU.

SSIM is equation 13 of Wang et al., "Image quality assessment: from error visibility to
structural similarity", 2004, with the constants 0.01^2 and 0.03^2, a Gaussian window of 11x11
pixels and sigma 1.5, and zeros beyond the border.

It is computed from d = x - y: 2 mean(x) mean(y) = mean(x)^2 + mean(y)^2 -
mean(d)^2, and alike for variances, so
SSIM = (1 - mean(d)^2 / (mean(x)^2 + mean(y)^2 + C1)) (1 - var(d) / (var(x) + var(y) + C2)),
which loses far fewer digits where images are flat or nearly agree.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.losses import ssim_kernels as kernels
from avatar.losses.ssim_kernels import C1, C2, RADIUS, SIGMA


def window() -> Float[np.ndarray, "11"]:
    """The window's one-dimensional factor (float64, sums to one)."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    return taps / taps.sum()


def ssim_map(
    image: Float[Tensor, "*B H W 3"], truth: Float[Tensor, "*B H W 3"]
) -> Float[Tensor, "*B H W 3"]:
    """SSIM at every pixel and channel; plain torch, differentiable, any device and precision.

    Args:
        image: RGB, 0..1.
        truth: what it should be.
    """
    shape = image.shape
    x, y = (v.reshape(-1, *shape[-3:]).permute(0, 3, 1, 2) for v in (image, truth))
    d = x - y
    maps = _Filter.apply(torch.cat([x, y, d, x * x + y * y, d * d], 1))
    mx, my, md, squares, dd = maps.chunk(5, 1)
    means = mx * mx + my * my
    value = (1 - md * md / (means + C1)) * (1 - (dd - md * md) / (squares - means + C2))
    return value.permute(0, 2, 3, 1).reshape(shape)


def ssim_factors(
    image: Float[np.ndarray, "H W 3"], truth: Float[np.ndarray, "H W 3"]
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W 3"]]:
    """SSIM's factors at every pixel and channel: of the means, and of contrast and structure.

    In this thread, without the GIL.

    Args:
        image: RGB, 0..1.
        truth: what it should be.
    """
    x, y = (np.ascontiguousarray(v, np.float32) for v in (image, truth))
    return kernels.factors(x, y, _TAPS)


class _Filter(torch.autograd.Function):
    """The window's means of maps [B, C, H, W], in full precision on any device.

    A GPU may round convolutions to ten bits (TF32), of which variances, small differences of large
    numbers, keep none. Forward and backward are one symmetric filter: neither may.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        return _filtered(maps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _filtered(gradients[0])


def _filtered(maps: Tensor) -> Tensor:
    channels = maps.shape[1]
    taps = torch.as_tensor(window(), dtype=maps.dtype, device=maps.device)
    rows = taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        maps = torch.nn.functional.conv2d(maps, rows, padding=(0, RADIUS), groups=channels)
        return torch.nn.functional.conv2d(
            maps, rows.transpose(2, 3), padding=(RADIUS, 0), groups=channels
        )


class FusedAppearance(torch.autograd.Function):
    """`(1 - w) L1 + w (1 - SSIM)` of float32 CPU images: values and gradient in one sweep.

    Returns the loss and, without gradients, mean SSIM, L1 and squared error. `truth` gets none.
    """

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, truth: Tensor, ssim_weight: float
    ) -> tuple[Tensor, Tensor]:
        flat = (-1, *image.shape[-3:])
        x = image.detach().reshape(flat).contiguous()
        y = truth.detach().reshape(flat).contiguous()
        gradient = torch.empty_like(x)
        sums = kernels.sweep(x.numpy(), y.numpy(), gradient.numpy(), _TAPS, np.float32(ssim_weight))
        means = torch.from_numpy((sums.sum(0) / x.numel()).astype(np.float32))
        ctx.save_for_backward(gradient.reshape(image.shape))
        ctx.mark_non_differentiable(means)
        return (1 - ssim_weight) * means[1] + ssim_weight * (1 - means[0]), means

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0], None, None


_TAPS = window().astype(np.float32)
