import numpy as np
import pytest

from avatar.render import mesh
from tests.rigs import uv_sphere

K = np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]])
SIZE = (64, 48)
FRONT = np.eye(4)


def at_depth(pixels: list[tuple[float, float]], depths: list[float]) -> np.ndarray:
    """World points that project to given pixels at given depths."""
    homogeneous = np.concatenate([np.array(pixels), np.ones((len(pixels), 1))], 1)
    return homogeneous @ np.linalg.inv(K).T * np.array(depths)[:, None]


def test_coverage_and_barycentrics_by_hand():
    """Corners at pixels (10, 10), (14, 10), (10, 14), depth 1: pixel (11, 10) has its centre at
    (11.5, 10.5), so its weights are 1 - 1.5/4 - 0.5/4, 1.5/4, 0.5/4."""
    verts = at_depth([(10, 10), (14, 10), (10, 14)], [1, 1, 1])
    ids, weights, depth = mesh.rasterize_mesh(verts, np.array([[0, 1, 2]]), FRONT, K, *SIZE)
    assert ids.shape == depth.shape == (48, 64)
    expected = np.full((48, 64), -1)
    for row in range(4):  # centres with (x - 10) + (y - 10) <= 4
        expected[10 + row, 10 : 14 - row] = 0
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_allclose(weights[10, 11], [0.5, 0.375, 0.125], atol=1e-6)
    assert depth[10, 11] == pytest.approx(1.0)
    assert np.isinf(depth[0, 0])
    assert not weights[0, 0].any()


def test_depth_and_weights_are_perspective_correct():
    """Half-way between depths 1 and 3 on the screen lies depth 1.5, three quarters to the near."""
    verts = at_depth([(10, 10.5), (30, 10.5), (20, 30)], [1, 3, 1.5])
    _, weights, depth = mesh.rasterize_mesh(verts, np.array([[0, 1, 2]]), FRONT, K, *SIZE)
    near, far = 0.525, 0.475  # of the way at pixel 19's centre, 19.5
    inverse = near / 1 + far / 3
    assert depth[10, 19] == pytest.approx(1 / inverse, rel=1e-5)
    assert weights[10, 19, 0] == pytest.approx(near / inverse, rel=1e-5)


def test_every_pixel_looks_through_its_own_point():
    """Interpolated positions project back to the pixels' centres, at the depth of the raster."""
    sphere, faces, _ = uv_sphere(8, 12)
    verts = sphere * 0.3 + [0.1, 0.0, 2.0]
    ids, weights, depth = mesh.rasterize_mesh(verts, faces, FRONT, K, *SIZE)
    points = mesh.interpolate(verts, faces, ids, weights)
    rows, columns = np.nonzero(ids >= 0)
    assert len(rows) > 400
    pixels = mesh.project(points[rows, columns], FRONT, K)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], 1) + 0.5, atol=1e-3)
    np.testing.assert_allclose(points[rows, columns, 2], depth[rows, columns], rtol=1e-5)


def test_a_closed_surface_has_no_holes():
    sphere, faces, _ = uv_sphere(8, 12)
    ids, _, _ = mesh.rasterize_mesh(sphere * 0.3 + [0, 0, 2], faces, FRONT, K, *SIZE)
    for row in ids >= 0:
        inside = np.flatnonzero(row)
        assert len(inside) == 0 or len(inside) == inside[-1] - inside[0] + 1


def test_the_nearer_face_wins_and_then_the_first():
    corners = [(10, 10), (40, 10), (10, 40)]
    verts = np.concatenate([at_depth(corners, [2] * 3), at_depth(corners, [1] * 3)])
    both = np.array([[0, 1, 2], [3, 4, 5]])
    ids, _, _ = mesh.rasterize_mesh(verts, both, FRONT, K, *SIZE)
    assert ids[15, 15] == 1
    ids, _, _ = mesh.rasterize_mesh(verts, both[::-1], FRONT, K, *SIZE)
    assert ids[15, 15] == 0
    ids, _, _ = mesh.rasterize_mesh(verts, both[[0, 0]], FRONT, K, *SIZE)
    assert ids[15, 15] == 0


def test_what_reaches_behind_the_camera_is_left_out():
    verts = at_depth([(10, 10), (40, 10), (10, 40)], [1, 1, -1])
    ids, _, _ = mesh.rasterize_mesh(verts, np.array([[0, 1, 2]]), FRONT, K, *SIZE)
    assert (ids == -1).all()


def test_moving_mesh_and_camera_together_changes_nothing():
    sphere, faces, _ = uv_sphere(8, 12)
    verts = sphere * 0.3 + [0, 0, 2]
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = turn.T, -turn.T @ [1, 2, 3]
    here = mesh.rasterize_mesh(verts, faces, FRONT, K, *SIZE)
    there = mesh.rasterize_mesh(verts @ turn.T + [1, 2, 3], faces, viewmat, K, *SIZE)
    assert (here[0] == there[0]).mean() > 0.999
    same = here[0] == there[0]
    np.testing.assert_allclose(here[2][same], there[2][same], rtol=1e-5)


def test_normals_of_a_sphere_are_its_radii():
    sphere, faces, _ = uv_sphere(16, 24)
    normals = mesh.vertex_normals(sphere * 0.2 + 1.0, faces)
    assert (normals * sphere).sum(1).min() > 0.99


def test_shading_is_brighter_towards_the_light():
    sphere, faces, _ = uv_sphere(12, 16)
    colors = np.full((len(sphere), 3), 0.8)
    verts = sphere * [0.3, -0.3, -0.3] + [0, 0, 2]
    image, ids = mesh.shade(verts, faces, colors, FRONT, K, *SIZE, background=0.25)
    assert (image[ids < 0] == 0.25).all()
    assert image.max() <= 0.8 + 1e-6
    # KEY_LIGHT comes from the upper right.
    assert image[18, 38].mean() > image[30, 26].mean() + 0.1


def test_cover_is_the_raster_without_depth():
    sphere, faces, _ = uv_sphere(8, 12)
    verts = sphere * [0.3, 0.2, 0.3] + [0.3, -0.1, 2]  # reaches beyond the image
    ids, _, _ = mesh.rasterize_mesh(verts, faces, FRONT, K, *SIZE)
    pixels = mesh.project(verts, FRONT, K)
    assert 200 < (ids >= 0).sum() < ids.size
    np.testing.assert_array_equal(mesh.cover(pixels, faces, *SIZE), ids >= 0)


def test_a_face_with_an_unknown_corner_covers_nothing():
    pixels = np.array([[1.0, 1], [30, 1], [1, 30], [np.nan, 30]])
    covered = mesh.cover(pixels, np.array([[0, 1, 3]]), *SIZE)
    assert not covered.any()
    assert mesh.cover(pixels, np.array([[0, 1, 2]]), *SIZE).any()
