import numpy as np
import pytest

from avatar.render.mesh import project
from pipeline.demo import studio


def test_held_out_camera_is_between_others():
    cameras = studio.make_cameras(8, 256)
    centres = -np.einsum("cij,ci->cj", cameras.viewmats[:, :3, :3], cameras.viewmats[:, :3, 3])
    yaw = np.degrees(np.arctan2(centres[:, 0], centres[:, 2]))
    assert (np.diff(yaw) > 10).all(), "lexicographic order runs along the arc"
    assert abs(yaw[4]) < 15
    assert yaw[0] < -55
    assert yaw[-1] > 55
    for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True):
        assert np.abs(project(np.zeros((1, 3)), viewmat, K) - 128).max() < 20


def test_one_camera_alone_stands_in_front() -> None:
    cameras = studio.make_cameras(1, 256)
    assert cameras.ids == ["00"]
    centre = -cameras.viewmats[0, :3, :3].T @ cameras.viewmats[0, :3, 3]
    x, y, z = studio.AIM
    np.testing.assert_allclose(centre, [x, y, z + studio.DISTANCE], atol=1e-12)


def test_filming_by_hand():
    """Where the person covers all, the wall does not show; where nobody is, only the wall does."""
    wall = np.full((64, 64, 3), 0.5)
    alpha = np.zeros((64, 64), np.float32)
    alpha[16:48, 16:48] = 1
    rgb = np.where(alpha[..., None] > 0, 0.8, 0.0).astype(np.float32) * np.ones(3, np.float32)
    image = studio.film(rgb, alpha, wall, np.random.default_rng(0)).astype(float)
    assert image[16:48, 16:48].mean() == pytest.approx(0.8 * 255, abs=0.5)
    assert image[:8, :8].mean() == pytest.approx(0.5 * 255, abs=1.5)
    assert image[50:56, 40:52].mean() < 0.5 * 255 - 5, "shadow, below and to the right"
    assert 0.5 < image[20:44, 20:44].std() < 4, "noise"


def test_walls_differ_and_leave_room_for_noise() -> None:
    first, second = studio.make_wall(0, 64), studio.make_wall(1, 64)
    assert first.shape == (64, 64, 3)
    assert first.min() >= 0.08
    assert first.max() <= 0.92
    assert np.abs(first - second).mean() > 0.01
    np.testing.assert_array_equal(first, studio.make_wall(0, 64))
