"""Numba kernels of SSIM and of the appearance loss with its gradient; the formula is in `ssim`.

They work on u = x + y and d = x - y: with M the window's mean,

    M(x)^2 + M(y)^2 = (M(u)^2 + M(d)^2) / 2,    var(x) + var(y) = (var(u) + var(d)) / 2,

so four means are enough for SSIM: of u, d, u^2 and d^2. They are taken along y and then along x.

Images stream through a few rows of memory. A row holds the values of three channels side by side,
with a SIMD vector of zeros, or of what lies beyond, at either side: the window reaches 15 values.
The SIMD type is the renderer's; Numba's cache does not notice when that changes.
"""

# mypy: ignore-errors
# Intrinsics are called with other arguments than they are defined with.

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

from avatar.render.cpu_kernels import (
    LANES,
    VEC,
    absolute,
    get,
    put,
    splat,
    where_greater,
    where_less,
)

RADIUS = 5
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
STRIP = 64  # rows of one task
_RING = 16  # rows that are kept: 11 of the window, and 5 until both windows have seen them
_JIT = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}

f32 = np.float32
ZERO, HALF, ONE, TWO = f32(0.0), f32(0.5), f32(1.0), f32(2.0)
_C1, _C2 = f32(C1), f32(C2)
_LANE = np.arange(LANES, dtype=np.float32)
_LANES_TYPE = ir.VectorType(ir.IntType(32), LANES)


@njit(nogil=True, **_JIT)
def factors(x, y, taps):
    """SSIM's factors, of the means and of contrast and structure; images [H, W, 3].

    taps: the window's one-dimensional factor, of which the first six are read.
    """
    height, width = x.shape[0], x.shape[1]
    n = 3 * width
    light, structure = np.empty_like(x), np.empty_like(x)
    u, d, maps, out = _rows(_RING, n), _rows(_RING, n), _rows(4, n), _rows(2, n)
    x, y = x.reshape(height, n), y.reshape(height, n)
    for r in range(height + RADIUS):
        _load_row(x, y, r, 0, u, d)
        c = r - RADIUS
        if c >= 0:
            _along_y(u, d, c, taps, maps)
            _row_factors(maps, taps, out)
            light[c] = out[0, LANES : LANES + n].copy().reshape(width, 3)
            structure[c] = out[1, LANES : LANES + n].copy().reshape(width, 3)
    return light, structure


@njit(parallel=True, **_JIT)
def sweep(x, y, gradient, taps, weight):
    """Sums of SSIM, L1 and squared error of every strip; writes the loss's gradient for x.

    x, y, gradient [B, H, W, 3]. taps: see `factors`. weight: of 1 - SSIM, the rest is of L1.
    """
    images, height = x.shape[0], x.shape[1]
    strips = (height + STRIP - 1) // STRIP
    sums = np.zeros((images * strips, 3), np.float64)
    for task in prange(images * strips):
        image, strip = task // strips, task % strips
        first = strip * STRIP
        last = min(first + STRIP, height)
        _strip(x[image], y[image], gradient[image], first, last, taps, weight, x.size, sums[task])
    return sums


@njit(**_JIT)
def _strip(x, y, gradient, first, last, taps, weight, count, sums):
    """Rows first..last of one image [H, W, 3], streaming.

    With row r come the means around row r - 5, and SSIM and its partial derivatives there; the
    window's means of those around row r - 10 complete that row of the gradient.

    Only columns near a difference are worked on. Farther than ten pixels from any, as on the
    background around a head, SSIM is one and the gradient zero.
    """
    height, width = x.shape[0], x.shape[1]
    left, right = _differing(x, y, first - 2 * RADIUS, last + 2 * RADIUS)
    left, right = max(0, left - 2 * RADIUS), min(width, right + 2 * RADIUS)
    n = 3 * max(0, right - left)
    gradient[first:last, :left] = ZERO
    gradient[first:last, right:] = ZERO
    sums[0] += np.float64(3 * width * (last - first))
    if n == 0:
        return
    x, y, gradient = x.reshape(height, -1), y.reshape(height, -1), gradient.reshape(height, -1)
    u, d, maps = _rows(_RING, n), _rows(_RING, n), _rows(4, n)
    slopes, out = _rows(3, n), _rows(1, n)
    filtered = np.zeros((3, *u.shape), np.float32)
    similar, absolute_error = f32(-weight / count), f32((1.0 - weight) / count)
    for r in range(first - 2 * RADIUS, last + 2 * RADIUS):
        _load_row(x, y, r, 3 * left, u, d)
        c, o = r - RADIUS, r - 2 * RADIUS
        if c < first - RADIUS:
            continue
        if c < 0 or c >= height:
            filtered[:, c & (_RING - 1)] = ZERO
        else:
            _along_y(u, d, c, taps, maps)
            lost = _row_slopes(maps, taps, n, similar, slopes)
            if first <= c < last:
                sums[0] -= lost
            _along_x(slopes, taps, filtered, c)
        if first <= o:
            l1, l2 = _row_gradient(filtered, u, d, o, taps, absolute_error, out)
            gradient[o, 3 * left : 3 * right] = out[0, LANES : LANES + n]
            sums[1] += l1
            sums[2] += l2


@njit(**_JIT)
def _rows(count, n):
    """Zeroed rows of n values and a vector at either side."""
    return np.zeros((count, (n + 3 * LANES - 1) // LANES * LANES), np.float32)


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
def _load_row(x, y, r, begin, u, d):
    """Row r of the images [H, 3 W], from value `begin`, as u and d; zeros beyond the border."""
    u, d = u[r & (_RING - 1)], d[r & (_RING - 1)]
    u[:] = ZERO
    d[:] = ZERO
    if r < 0 or r >= x.shape[0]:
        return
    start = begin - LANES
    first, last = max(0, start), min(x.shape[1], start + u.shape[0])
    a, b = x[r, first:last], y[r, first:last]
    u, d = u[first - start : last - start], d[first - start : last - start]
    for j in range(a.shape[0]):
        u[j] = a[j] + b[j]
        d[j] = a[j] - b[j]


@njit(**_JIT)
def _along_y(u, d, c, taps, maps):
    """The window's means along y, around row c, of u, d, u^2 and d^2."""
    vectors = u.shape[1] // LANES
    u, d, maps = u.reshape(-1), d.reshape(-1), maps.reshape(-1)
    zero = splat(ZERO)
    for j in range(vectors):
        mean_u, mean_d, mean_uu, mean_dd = zero, zero, zero, zero
        for k in range(2 * RADIUS + 1):
            row = (c + k - RADIUS) & (_RING - 1)
            a, b = get(u, row * vectors + j), get(d, row * vectors + j)
            part_a, part_b = taps[k] * a, taps[k] * b
            mean_u, mean_d = mean_u + part_a, mean_d + part_b
            mean_uu, mean_dd = mean_uu + part_a * a, mean_dd + part_b * b
        put(maps, j, mean_u)
        put(maps, vectors + j, mean_d)
        put(maps, 2 * vectors + j, mean_uu)
        put(maps, 3 * vectors + j, mean_dd)


@intrinsic
def _pair_sums(typingctx, before, here, after):
    """Of each lane of `here`, the sums of the values 3, 6, .. 15 places to its left and right."""

    def codegen(context, builder, sig, args):
        def moved(left, right, by):
            lanes = ir.Constant(_LANES_TYPE, list(range(by, by + LANES)))
            return builder.shuffle_vector(left, right, lanes)

        before, here, after = args
        pairs = [
            builder.fadd(moved(before, here, LANES - 3 * k), moved(here, after, 3 * k))
            for k in range(1, RADIUS + 1)
        ]
        return context.make_tuple(builder, sig.return_type, pairs)

    return types.UniTuple(VEC, RADIUS)(VEC, VEC, VEC), codegen


@njit(**_JIT)
def _mean_along_x(row, j, taps):
    """The window's mean of each lane of vector j of a flat array."""
    here = get(row, j)
    a, b, c, d, e = _pair_sums(get(row, j - 1), here, get(row, j + 1))
    nearest = taps[5] * here + taps[4] * a + taps[3] * b
    return nearest + taps[2] * c + taps[1] * d + taps[0] * e


@njit(**_JIT)
def _along_x(slopes, taps, filtered, c):
    """The window's means along x of three rows, into row c of the ring."""
    vectors = slopes.shape[1] // LANES
    slopes, filtered = slopes.reshape(-1), filtered.reshape(-1)
    for m in range(3):
        row = m * _RING + (c & (_RING - 1))
        for j in range(1, vectors - 1):
            put(filtered, row * vectors + j, _mean_along_x(slopes, m * vectors + j, taps))


@njit(**_JIT)
def _parts(maps, j, vectors, taps):
    """What SSIM is made of, in vector j: M(u), M(d), 1 / denominators, 1 - factors."""
    mean_u = _mean_along_x(maps, j, taps)
    mean_d = _mean_along_x(maps, vectors + j, taps)
    mean_uu = _mean_along_x(maps, 2 * vectors + j, taps)
    mean_dd = _mean_along_x(maps, 3 * vectors + j, taps)
    square = mean_d * mean_d
    squares = HALF * (mean_u * mean_u + square)
    a, b = ONE / (squares + _C1), ONE / (HALF * (mean_uu + mean_dd) - squares + _C2)
    return mean_u, mean_d, a, b, square * a, (mean_dd - square) * b


@njit(**_JIT)
def _row_factors(maps, taps, out):
    vectors = maps.shape[1] // LANES
    maps, out = maps.reshape(-1), out.reshape(-1)
    for j in range(1, vectors - 1):
        _, _, _, _, dark, varied = _parts(maps, j, vectors, taps)
        put(out, j, ONE - dark)
        put(out, vectors + j, ONE - varied)


@njit(**_JIT)
def _row_slopes(maps, taps, n, scale, slopes):
    """1 - SSIM summed over a row; `slopes` get SSIM's derivatives times `scale`.

    By M(x), and what the gradient has for a pixel's u and d: twice the derivatives by M(u^2) and
    M(d^2). Zero beyond the row's n values.
    """
    vectors = maps.shape[1] // LANES
    maps, slopes = maps.reshape(-1), slopes.reshape(-1)
    lost, zero, lane = splat(ZERO), splat(ZERO), get(_LANE, 0)
    for j in range(1, vectors - 1):
        mean_u, mean_d, a, b, dark, varied = _parts(maps, j, vectors, taps)
        light, structure = ONE - dark, ONE - varied
        mean_x = HALF * (mean_u + mean_d)
        by_mean = structure * a * mean_d * (mean_d * a * mean_x - ONE)
        by_mean = by_mean + light * b * (mean_d - varied * mean_x)
        left = f32(n - (j - 1) * LANES)
        lost = lost + where_less(lane, left, dark + light * varied, zero)
        common = scale * light * b
        put(slopes, j, where_less(lane, left, TWO * scale * by_mean, zero))
        put(slopes, vectors + j, where_less(lane, left, common * varied, zero))
        put(slopes, 2 * vectors + j, where_less(lane, left, common * (varied - TWO), zero))
    return _total(lost)


@njit(**_JIT)
def _row_gradient(filtered, u, d, o, taps, absolute_error, out):
    """The gradient of row o; its sums of absolute and squared differences."""
    vectors = u.shape[1] // LANES
    u, d = u[o & (_RING - 1)], d[o & (_RING - 1)]
    filtered, out = filtered.reshape(-1), out.reshape(-1)
    zero = splat(ZERO)
    l1, l2 = zero, zero
    for j in range(1, vectors - 1):
        by_mean, by_u, by_d = zero, zero, zero
        for k in range(2 * RADIUS + 1):
            at = ((o + k - RADIUS) & (_RING - 1)) * vectors + j
            by_mean = by_mean + taps[k] * get(filtered, at)
            by_u = by_u + taps[k] * get(filtered, _RING * vectors + at)
            by_d = by_d + taps[k] * get(filtered, 2 * _RING * vectors + at)
        difference = get(d, j)
        l1, l2 = l1 + absolute(difference), l2 + difference * difference
        falling = where_less(difference, ZERO, -absolute_error, zero)
        sign = where_greater(difference, ZERO, absolute_error, falling)
        put(out, j, by_mean + get(u, j) * by_u + difference * by_d + sign)
    return _total(l1), _total(l2)


@njit(**_JIT)
def _total(vector):
    """Sum of the lanes."""
    lanes = np.empty(LANES, np.float32)
    put(lanes, 0, vector)
    total = 0.0
    for value in lanes:
        total += value
    return total
