"""Control points: spread over the mesh, smooth, a partition of unity, the same everywhere."""

import numpy as np
import pytest

from avatar.rig import HeadRig
from avatar.rig.controls import CONTROLS, control_verts, control_weights


@pytest.fixture(scope="module")
def verts(rig: HeadRig) -> np.ndarray:
    return rig.v_template.numpy().astype(np.float64)


def test_points_cover_the_mesh_and_keep_apart(verts: np.ndarray) -> None:
    """Farthest points: no vertex is farther from a point than two points from each other."""
    points = verts[control_verts(verts)]
    assert len(points) == CONTROLS
    between = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(CONTROLS) * 9
    to_nearest = np.linalg.norm(verts[:, None] - points, axis=2).min(1)
    assert to_nearest.max() <= between.min() + 1e-9


def test_weights_sum_to_one_and_are_greatest_at_the_nearest_point(verts: np.ndarray) -> None:
    weights = control_weights(verts)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert (weights >= 0).all()
    distances = np.linalg.norm(verts[:, None] - verts[control_verts(verts)], axis=2)
    nearest = np.sort(distances, axis=1)
    clear = nearest[:, 0] < 0.99 * nearest[:, 1]
    assert clear.sum() > len(verts) / 2
    assert np.array_equal(weights.argmax(1)[clear], distances.argmin(1)[clear])


def test_they_do_not_depend_on_the_meshs_size(verts: np.ndarray) -> None:
    """The reach is in units of the points' distances."""
    assert np.array_equal(control_verts(4 * verts), control_verts(verts))
    np.testing.assert_allclose(control_weights(4 * verts), control_weights(verts), atol=1e-6)


def test_points_of_a_symmetric_mesh_are_decided_by_order_not_by_rounding() -> None:
    """Two vertices as far as each other: the first is taken, also where all is shifted."""
    side = np.linspace(0.1, 1, 50)
    x = np.stack([side, -side], 1).ravel()
    verts = np.stack([x, 0 * x, 0 * x], 1)
    verts = np.concatenate([[[0, 0, 1.0]], verts])
    chosen = control_verts(verts)
    assert chosen[:3].tolist() == [0, 99, 100]
