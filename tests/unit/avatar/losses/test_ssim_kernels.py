"""Parts of the kernels against NumPy; SSIM and the loss are tested in `test_ssim`."""

import numba
import numpy as np
from numba import njit

from avatar.losses import ssim_kernels as kernels
from avatar.losses.ssim import window

LANES = kernels.LANES
TAPS = window().astype(np.float32)


@njit
def _mean_along_x(row, taps, out):
    kernels.put(out, 0, kernels._mean_along_x(row, 1, taps))


def test_the_mean_along_x_reaches_five_pixels_of_three_channels() -> None:
    row = np.random.default_rng(0).random(3 * LANES, np.float32)
    out = np.zeros(LANES, np.float32)
    _mean_along_x(row, TAPS, out)
    reach = 3 * np.arange(-5, 6)
    expected = [window() @ row[LANES + lane + reach] for lane in range(LANES)]
    assert np.abs(out - expected).max() < 2e-7


def test_means_along_y_are_of_the_rows_around() -> None:
    random = np.random.default_rng(1)
    x, y = random.random((2, 40, 6), np.float32)
    u, d, maps = (kernels._rows(count, 6) for count in (16, 16, 4))
    for r in range(26):
        kernels._load_row(x, y, r, 0, u, d)
    kernels._along_y(u, d, 20, TAPS, maps)
    rows = slice(15, 26)
    for k, values in enumerate([x + y, x - y, (x + y) ** 2, (x - y) ** 2]):
        assert np.abs(maps[k, LANES : LANES + 6] - window() @ values[rows]).max() < 1e-6
    assert (maps[:, :LANES] == 0).all()
    assert (maps[:, LANES + 6 :] == 0).all()


def test_rows_beyond_the_border_are_zero() -> None:
    x, y = np.ones((2, 4, 6), np.float32)
    u, d = np.full((2, 16, 48), np.nan, np.float32)
    for r in (-1, 4):
        kernels._load_row(x, y, r, 0, u, d)
        assert (u[r % 16] == 0).all()
        assert (d[r % 16] == 0).all()
    kernels._load_row(x, y, 3, 3, u, d)  # from the second pixel on; the first lies left of it
    assert (u[3, LANES - 3 : LANES + 3] == 2).all()
    assert u[3].sum() == 12


def test_the_same_bits_for_any_number_of_threads_and_images() -> None:
    x, y = np.random.default_rng(2).random((2, 3, 130, 20, 3), np.float32)
    usual, found = numba.get_num_threads(), []
    try:
        for threads in range(1, usual + 1):
            numba.set_num_threads(threads)
            gradient = np.empty_like(x)
            found.append((kernels.sweep(x, y, gradient, TAPS, np.float32(0.2)), gradient))
    finally:
        numba.set_num_threads(usual)
    for sums, gradient in found[1:]:
        assert np.array_equal(sums, found[0][0])
        assert np.array_equal(gradient, found[0][1])
    for i in range(3):  # each is divided by all values of its batch: a third, but for rounding
        alone = np.empty_like(x[:1])
        sums = kernels.sweep(x[i : i + 1], y[i : i + 1], alone, TAPS, np.float32(0.2))
        assert np.array_equal(sums, found[0][0][3 * i : 3 * i + 3])
        np.testing.assert_allclose(alone[0] / 3, found[0][1][i], rtol=1e-5, atol=1e-9)
