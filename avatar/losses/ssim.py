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
from numba import njit, prange
from torch import Tensor

RADIUS = 5
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


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
    return _factors(x, y, _TAPS)


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
        sums = _sweep(x.numpy(), y.numpy(), gradient.numpy(), _TAPS, np.float32(ssim_weight))
        means = torch.from_numpy((sums.sum(0) / x.numel()).astype(np.float32))
        ctx.save_for_backward(gradient.reshape(image.shape))
        ctx.mark_non_differentiable(means)
        return (1 - ssim_weight) * means[1] + ssim_weight * (1 - means[0]), means

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0], None, None


_TAPS = window().astype(np.float32)
_STRIP = 64  # rows of one task
_JIT: Any = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
# Lets a sum run in lanes (its order is fixed when it is compiled). Not for the rest: variances
# are small differences of large numbers, and their order matters.
_SUM: Any = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}


@njit(nogil=True, **_JIT)
def _factors(x, y, taps):
    """The factors of SSIM, of the means and of contrast and structure; images [H, W, 3].

    Streams as `_strip` does.
    """
    height, n, pad = x.shape[0], 3 * x.shape[1], 3 * RADIUS
    light, structure = np.empty_like(x), np.empty_like(x)
    rows = np.zeros((4, n + 2 * pad), np.float32)
    ring = np.zeros((4, 11, n), np.float32)
    maps = np.zeros((4, n), np.float32)
    for r in range(-RADIUS, height + RADIUS):
        slot = r % 11
        if r < 0 or r >= height:
            ring[:, slot] = np.float32(0.0)
        else:
            _products(x[r].reshape(n), y[r].reshape(n), -pad, rows)
            for m in range(4):
                _along_x(rows[m], taps, ring[m, slot])
        c = r - RADIUS
        if c >= 0:
            for m in range(4):
                _along_y(ring[m], c, taps, maps[m])
            _row_factors(maps, light[c].reshape(n), structure[c].reshape(n))
    return light, structure


@njit(**_JIT)
def _row_factors(maps, light, structure):
    mx, my, power, error = maps[0], maps[1], maps[2], maps[3]
    c1, c2, one = np.float32(C1), np.float32(C2), np.float32(1.0)
    for j in range(mx.shape[0]):
        d = mx[j] - my[j]
        squares = mx[j] * mx[j] + my[j] * my[j]
        light[j] = one - d * d / (squares + c1)
        structure[j] = one - (error[j] - d * d) / (power[j] - squares + c2)


@njit(parallel=True, **_JIT)
def _sweep(x, y, gradient, taps, weight):
    """Sums of SSIM, L1 and squared error of every strip; writes the loss's gradient for x."""
    images, height = x.shape[0], x.shape[1]
    strips = (height + _STRIP - 1) // _STRIP
    sums = np.zeros((images * strips, 3), np.float64)
    for task in prange(images * strips):
        image, strip = task // strips, task % strips
        first = strip * _STRIP
        last = min(first + _STRIP, height)
        _strip(x[image], y[image], gradient[image], first, last, taps, weight, x.size, sums[task])
    return sums


@njit(**_JIT)
def _strip(x, y, gradient, first, last, taps, weight, count, sums):
    """Rows first..last of one image [H, W, 3], streaming.

    Row r is filtered along x; row r - 5 can then be filtered along y, which gives SSIM and its
    three partial derivatives there; those are filtered in the same way, and row r - 10 of the
    gradient is complete. Eleven filtered rows of each are kept in a ring.

    Only columns near a difference are worked on. Farther than ten pixels from any, as on the
    background around a head, SSIM is one and the gradient zero.
    """
    height, width = x.shape[0], x.shape[1]
    left, right = _differing(x, y, first - 2 * RADIUS, last + 2 * RADIUS)
    left, right = max(0, left - 2 * RADIUS), min(width, right + 2 * RADIUS)
    n = 3 * max(0, right - left)
    gradient[first:last, :left] = np.float32(0.0)
    gradient[first:last, right:] = np.float32(0.0)
    sums[0] += np.float64((3 * width - n) * (last - first))
    if n == 0:
        return
    x, y, gradient = x.reshape(height, -1), y.reshape(height, -1), gradient.reshape(height, -1)
    begin, end = 3 * left, 3 * right
    pad = 3 * RADIUS
    rows = np.zeros((4, n + 2 * pad), np.float32)
    ring = np.zeros((4, 11, n), np.float32)
    maps = np.zeros((4, n), np.float32)
    slopes = np.zeros((3, n + 2 * pad), np.float32)
    slope_ring = np.zeros((3, 11, n), np.float32)
    similar = np.float32(-weight / count)
    absolute = np.float32((1.0 - weight) / count)
    for r in range(first - 2 * RADIUS, last + 2 * RADIUS):
        slot = r % 11
        if r < 0 or r >= height:
            ring[:, slot] = np.float32(0.0)
        else:
            _products(x[r], y[r], begin - pad, rows)
            for m in range(4):
                _along_x(rows[m], taps, ring[m, slot])
        c = r - RADIUS
        if c < first - RADIUS:
            continue
        if c < 0 or c >= height:
            slope_ring[:, c % 11] = np.float32(0.0)
        else:
            for m in range(4):
                _along_y(ring[m], c, taps, maps[m])
            row_sum = _similarity(maps, slopes[:, pad : pad + n], similar)
            if first <= c < last:
                sums[0] += row_sum
            for m in range(3):
                _along_x(slopes[m], taps, slope_ring[m, c % 11])
        o = c - RADIUS
        if first <= o:
            for m in range(3):
                _along_y(slope_ring[m], o, taps, maps[m])
            row_l1, row_l2 = _combine(
                x[o, begin:end], y[o, begin:end], maps, absolute, gradient[o, begin:end]
            )
            sums[1] += row_l1
            sums[2] += row_l2


@njit(**_JIT)
def _differing(x, y, first, last):
    """The columns of [H, W, 3] between which rows first..last differ; (W, 0) if they agree."""
    width = x.shape[1]
    left, right = width, 0
    for r in range(max(0, first), min(x.shape[0], last)):
        a, b = x[r].reshape(3 * width), y[r].reshape(3 * width)
        j = 0
        while j < 3 * left and a[j] == b[j]:
            j += 1
        left = min(left, j // 3)
        j = 3 * width
        while j > 3 * right and a[j - 1] == b[j - 1]:
            j -= 1
        right = max(right, (j + 2) // 3)
    return left, right


@njit(**_JIT)
def _products(x, y, begin, rows):
    """Fill `rows` with what is filtered, of the values from `begin` on; zeros beyond the border."""
    a, b, power, error = rows[0], rows[1], rows[2], rows[3]
    first, last = max(0, -begin), min(a.shape[0], x.shape[0] - begin)
    x, y = x[begin + first : begin + last], y[begin + first : begin + last]
    a[first:last] = x
    b[first:last] = y
    power, error = power[first:last], error[first:last]
    for j in range(x.shape[0]):
        difference = x[j] - y[j]
        power[j] = x[j] * x[j] + y[j] * y[j]
        error[j] = difference * difference


@njit(**_JIT)
def _along_x(row, taps, out):
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for j in range(out.shape[0]):
        out[j] = (
            t5 * row[j + 15]
            + t4 * (row[j + 12] + row[j + 18])
            + t3 * (row[j + 9] + row[j + 21])
            + t2 * (row[j + 6] + row[j + 24])
            + t1 * (row[j + 3] + row[j + 27])
            + t0 * (row[j] + row[j + 30])
        )


@njit(**_JIT)
def _along_y(ring, c, taps, out):
    # Two loops: the compiler gives up on telling more than eight rows apart from `out`.
    a, b, d, e, f = (
        ring[(c - 2) % 11],
        ring[(c - 1) % 11],
        ring[c % 11],
        ring[(c + 1) % 11],
        ring[(c + 2) % 11],
    )
    t3, t4, t5 = taps[3], taps[4], taps[5]
    for j in range(out.shape[0]):
        out[j] = t5 * d[j] + t4 * (b[j] + e[j]) + t3 * (a[j] + f[j])
    g, h, i = ring[(c - 3) % 11], ring[(c - 4) % 11], ring[(c - 5) % 11]
    k, m, o = ring[(c + 3) % 11], ring[(c + 4) % 11], ring[(c + 5) % 11]
    t0, t1, t2 = taps[0], taps[1], taps[2]
    for j in range(out.shape[0]):
        out[j] += t2 * (g[j] + k[j]) + t1 * (h[j] + m[j]) + t0 * (i[j] + o[j])


@njit(**_JIT)
def _similarity(maps, slopes, scale):
    """SSIM summed over a row; `slopes` get d/d mean, d/d power and d/d error, times `scale`."""
    mx, my, power, error = maps[0], maps[1], maps[2], maps[3]
    dm, dp, de = slopes[0], slopes[1], slopes[2]
    c1, c2, one, two = np.float32(C1), np.float32(C2), np.float32(1.0), np.float32(2.0)
    for j in range(mx.shape[0]):
        u, d = mx[j], mx[j] - my[j]
        squares = u * u + my[j] * my[j]
        a, b = one / (squares + c1), one / (power[j] - squares + c2)
        varied = (error[j] - d * d) * b
        light, rest = one - d * d * a, one - varied
        maps[0, j] = light * rest
        bright = rest * a * d * (d * a * u - one)
        dm[j] = scale * two * (bright + light * b * (d - varied * u))
        dp[j] = scale * light * varied * b
        de[j] = -scale * light * b
    return _total(maps[0])


@njit(**_JIT)
def _combine(x, y, maps, absolute, gradient):
    """The gradient of a row; its sums of absolute and squared differences."""
    mean, power, error, d = maps[0], maps[1], maps[2], maps[3]
    for j in range(x.shape[0]):
        difference = x[j] - y[j]
        sign = np.float32(difference > 0.0) - np.float32(difference < 0.0)
        slope = x[j] * power[j] + difference * error[j]
        gradient[j] = mean[j] + np.float32(2.0) * slope + absolute * sign
        d[j] = difference
    return _total_absolute(d), _total_square(d)


@njit(**_SUM)
def _total(row):
    total = np.float32(0.0)
    for j in range(row.shape[0]):
        total += row[j]
    return total


@njit(**_SUM)
def _total_absolute(row):
    total = np.float32(0.0)
    for j in range(row.shape[0]):
        total += abs(row[j])
    return total


@njit(**_SUM)
def _total_square(row):
    total = np.float32(0.0)
    for j in range(row.shape[0]):
        total += row[j] * row[j]
    return total
