"""The kernels' arithmetic, sorting and binning, against NumPy; images are in `test_cpu`."""

import numpy as np
import pytest
from numba import njit

from avatar.render import cpu_kernels as kernels

LANES, RECORD, TILE = kernels.LANES, kernels.RECORD, kernels.TILE


@njit
def _exp2_and_log2(values):
    kernels.put(values, 1, kernels.exp2(kernels.get(values, 0)))
    kernels.put(values, 2, kernels.log2(kernels.get(values, 1)))


def test_exponential_and_logarithm_are_good_to_float32() -> None:
    values = np.zeros(3 * LANES, np.float32)
    values[:LANES] = np.linspace(-60, 60, LANES) + 0.1234
    _exp2_and_log2(values)
    power, expected, back = values.reshape(3, LANES)[[0, 1, 2]]
    exact = np.exp2(power.astype(np.float64))
    assert np.abs(expected / exact - 1).max() < 2.5e-7
    assert np.abs(back - np.log2(expected.astype(np.float64))).max() < 1e-7 * 64


def test_a_thread_takes_its_own_tasks_and_then_the_others() -> None:
    queue = np.zeros((3, kernels.QUEUE), np.int64)
    queue[:, :2] = [0, 2], [2, 5], [5, 6]
    assert [kernels.take_task(queue, 1) for _ in range(4)] == [2, 3, 4, 5]
    assert kernels.take_task(queue, 0) == 0
    assert [kernels.take_task(queue, 2) for _ in range(3)] == [1, -1, -1]


@pytest.mark.parametrize("n", [0, 1, 7, 300])
@pytest.mark.parametrize("far", [0.37, 0.3701, 0.4, 1e4])  # none to three passes
def test_visible_gaussians_are_sorted_by_depth_and_equal_ones_keep_their_order(
    n: int, far: float
) -> None:
    random = np.random.default_rng(0)
    records = np.zeros((n, RECORD), np.float32)
    depth = records[:, kernels.DEPTH]
    depth[:] = np.geomspace(0.37, far, 40)[random.integers(0, 40, n)]
    depth[random.random(n) < 0.1] = 0  # not visible
    order, keys, spare_order, spare_keys = (np.zeros(n, np.int32) for _ in range(4))
    seen, histogram = np.zeros(1, np.int32), np.zeros((1, kernels.RADIX), np.int32)
    sort = (order, keys, spare_order, spare_keys, seen, histogram)
    kernels._sort_task.py_func(0, n, records.ravel(), records.ravel().view(np.int32), sort)
    stable = np.argsort(depth, kind="stable")
    assert order[: seen[0]].tolist() == stable[depth[stable] > 0].tolist()


@pytest.mark.parametrize(
    ("x", "y", "sigma"), [(16, 16, 1), (40, 70, 9), (63.9, 31.9, 4), (0, 0, 20)]
)
def test_a_gaussian_is_listed_in_every_tile_where_it_is_seen(
    x: float, y: float, sigma: float
) -> None:
    """Round, of opacity 0.8, in an image of 4x4 tiles: tiles with a pixel of alpha >= 1/255."""
    across = 4
    steep, reach = 0.5 / np.log(2) / sigma**2, sigma * np.sqrt(2 * np.log(255 * 0.8))
    record = np.zeros(RECORD, np.float32)
    record[[kernels.X, kernels.Y, kernels.PEAK]] = x, y, np.log2(0.8)
    record[[kernels.STEEP_X, kernels.STEEP_Y, kernels.REACH_X, kernels.REACH_Y]] = (
        *(steep, steep),
        *(reach, reach),
    )
    spans = [(max(0, (v - reach) // TILE), min(across - 1, (v + reach) // TILE)) for v in (x, y)]
    (record[kernels.TILE_X0], record[kernels.TILE_X1]) = spans[0]
    (record[kernels.TILE_Y0], record[kernels.TILE_Y1]) = spans[1]
    slots, listed = np.zeros(2, np.int32), np.full(16, -1, np.int32)
    kernels._pair_task.py_func(0, 1, 0, across, record, slots, listed)
    centres = np.arange(across * TILE) + 0.5
    alpha = 0.8 * np.exp(-((centres[:, None] - y) ** 2 + (centres - x) ** 2) / (2 * sigma**2))
    seen = (alpha >= 1 / 255).reshape(across, TILE, across, TILE).any((1, 3))
    assert set(np.flatnonzero(seen)) <= set(listed[: slots[1]].tolist())
    assert slots[1] - seen.sum() <= 2  # searched a little larger than it is
