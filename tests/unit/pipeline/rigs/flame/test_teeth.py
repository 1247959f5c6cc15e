"""The mouth's opening is found, and teeth are what METHOD's counts say."""

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.rigs.flame import teeth

EYES = np.array([[0.03, 0.03, 0.0], [-0.03, 0.03, 0.0]])


def sheet() -> tuple[np.ndarray, np.ndarray]:
    """A bent sheet in front, 21 x 21 vertices 1 cm apart, with a slit of 5 x 1 cells cut out."""
    x, y = np.meshgrid(np.arange(-10, 11) * 0.01, np.arange(-10, 11) * 0.01)
    verts = np.stack([x, y, 0.05 - 3 * x * x], -1).reshape(-1, 3)
    a = (np.arange(20)[:, None] * 21 + np.arange(20)).ravel()
    hole = [(7 + 0) * 21 + column for column in range(8, 12)]
    a = a[~np.isin(a, hole)]
    quads = np.stack([a, a + 1, a + 22, a + 21], 1)
    return verts, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def test_boundaries_by_hand():
    verts, faces = sheet()
    loops = sorted(teeth.boundary_loops(faces, len(verts)), key=len)
    assert [len(loop) for loop in loops] == [10, 80]
    steps = np.linalg.norm(np.diff(verts[loops[0]][:, :2], axis=0), axis=1)
    np.testing.assert_allclose(steps, 0.01)


def test_the_ring_and_its_lips():
    verts, faces = sheet()
    ring = teeth.mouth_ring(verts, faces, EYES)
    assert len(ring) == 10
    upper, lower = teeth.arcs(verts[ring])
    assert verts[ring][upper][:, 1].mean() > verts[ring][lower][:, 1].mean()
    for arc in (upper, lower):
        assert (np.diff(verts[ring][arc, 0]) >= 0).all()
    with pytest.raises(UserError, match="no opening between the lips"):
        teeth.mouth_ring(verts, faces, EYES + np.array([0, 0.2, 0]))


def test_rows_counts_and_outward_faces():
    verts, faces = sheet()
    added = teeth.build(verts, faces, EYES)
    assert added.blend.shape[0] == 120
    assert added.faces.shape == (168, 3)
    np.testing.assert_allclose(added.blend.sum(1), 1)
    points = added.verts(verts)
    for half, front in ((0, slice(0, 28)), (60, slice(84, 112))):
        mine = points[half : half + 60]
        assert np.ptp(mine[:, 0]) == pytest.approx(0.04 * teeth.WIDTH)
        corners = points[added.faces[front]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (normal[:, 2] > 0).all()
    assert points[:60, 1].mean() > points[60:, 1].mean()
    assert points[:, 2].max() < verts[added.ring, 2].max(), "behind the lips"
    edges = np.sort(added.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2


def test_teeth_move_with_the_head_but_keep_their_size():
    """Blends sum to one and offsets are fixed: a shift of the mesh is a shift of the teeth."""
    verts, faces = sheet()
    added = teeth.build(verts, faces, EYES)
    shift = np.array([1, 2, 3])
    np.testing.assert_allclose(added.verts(verts + shift), added.verts(verts) + shift)
