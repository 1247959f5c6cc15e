import numpy as np
import pytest

from avatar.render.mesh import project
from pipeline.track.photometric import samples


def test_a_ramp_has_its_own_value_and_slope() -> None:
    y, x = np.mgrid[:40, :50].astype(np.float32) + 0.5
    image = np.stack([2 * x - 3 * y, 0.5 * x], -1)
    pixels = np.array([[10.3, 20.7], [33.0, 5.25]])
    values, slopes = np.zeros((2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    samples._gather(image, pixels, np.array([True, False]), values, slopes, 1.0)
    assert values[0] == pytest.approx([2 * 10.3 - 3 * 20.7, 0.5 * 10.3], rel=1e-4)
    assert slopes[0] == pytest.approx(np.array([[2, -3], [0.5, 0]]), abs=1e-4)
    assert not values[1].any()


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_a_crop_shows_the_same_place_at_the_same_point(scale: float) -> None:
    y, x = np.mgrid[:160, :200]
    image = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    K = np.array([[300.0, 0, 100], [0, 300, 80], [0, 0, 1]])
    verts = np.array([[-0.1, -0.05, 1], [0.1, 0.08, 1], [0.03, 0.02, 1.0]])
    pixels = project(verts, np.eye(4), K)
    small, moved = samples.crop(image, pixels, K, scale)
    assert small.shape[0] < 160 * scale
    assert small.shape[1] < 200 * scale
    for before, after in zip(pixels, project(verts, np.eye(4), moved), strict=True):
        column, row = np.floor(after).astype(int)
        assert small[row, column, :2] == pytest.approx(before, abs=1.5 / scale)


def test_a_face_outside_the_frame_is_no_look() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    small, _ = samples.crop(image, np.array([[300.0, 10], [350, 30]]), np.eye(3), 1.0)
    assert small.size == 0


def test_light_adds_to_features_and_leaves_the_second_alone() -> None:
    dim = np.full((9, 9, 3), (60, 40, 30), np.uint8)
    bright = (2 * (dim + samples.DARK) - samples.DARK).astype(np.uint8)
    change = samples.features(bright, 1.0) - samples.features(dim, 1.0)
    assert change[..., 0] == pytest.approx(np.log(2), abs=1e-5)
    assert change[..., 1] == pytest.approx(0, abs=1e-5)
