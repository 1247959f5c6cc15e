import numpy as np
import pytest

from pipeline.track.solve import kernels


def test_pixel_jacobian_against_differences() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    focal, seen = np.array([[500.0, 480.0]]), np.array([[[[0.05, -0.02, 0.7]]]])
    got = kernels.pixel_jacobian(seen, turn[None, None], focal)[0, 0, 0]

    def pixel(step: np.ndarray) -> np.ndarray:
        x, y, z = seen[0, 0, 0] + turn @ step
        return focal[0] * np.array([x, y]) / z

    for axis in range(3):
        step = 1e-6 * np.eye(3)[axis]
        slope = (pixel(step) - pixel(-step)) / 2e-6
        assert got[:, axis] == pytest.approx(slope, rel=1e-4)
    assert got[:, 3] == pytest.approx(pixel(np.zeros(3)), rel=1e-5)


def test_information_sums_weighted_outer_products() -> None:
    rows = np.arange(16, dtype=np.float32).reshape(1, 2, 1, 2, 4)
    weights, residuals = np.array([[[[1.0, 2.0]], [[0.0, 0.5]]]]), np.ones((1, 2, 1, 2))
    matrix, pull = kernels.information(rows, weights, residuals)
    flat, w = rows.reshape(4, 4).astype(float), np.array([1, 2, 0, 0.5])
    np.testing.assert_allclose(matrix[0, 0], flat.T @ (w[:, None] * flat))
    np.testing.assert_allclose(pull[0, 0], flat.T @ w)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_root_gives_the_information_back(rank: int) -> None:
    rng = np.random.default_rng(rank)
    known = rng.normal(size=(rank, 4))
    matrix, pull = known.T @ known, known.T @ rng.normal(size=rank)
    rows, residual = np.ones((4, 4)), np.ones(4)
    kernels.root(matrix, pull, rows, residual)
    np.testing.assert_allclose(rows.T @ rows, matrix, atol=1e-9)
    np.testing.assert_allclose(rows.T @ residual, pull, atol=1e-9)
    assert (np.abs(rows).sum(1) > 0).sum() == rank
