import cv2
import numpy as np
import pytest

from pipeline.matte.backends.plate import PlateMatting, _differences, edge_alpha, foreign
from tests.unit.pipeline.matte.scenes import ellipse, studio


def test_a_shadow_is_not_foreign_and_a_colour_is() -> None:
    plate = np.full((60, 60, 3), (120, 90, 60), np.float32)
    image = plate.copy()
    image[10:25, 10:25] *= 0.7  # shadow
    image[35:50, 10:25] = (120, 60, 90)  # as bright, of another colour
    image[35:50, 35:50] *= 0.3  # darker than a soft shadow
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    blurred = cv2.blur(image + noise.astype(np.float32), (3, 3))
    difference, brightness = _differences(blurred, plate, np.ones(3, np.float32))
    found = foreign(difference, np.zeros((60, 60), np.float32))
    assert abs(brightness[12:23, 12:23].mean() - 0.7) < 0.01
    assert found[12:23, 12:23].mean() < 0.02
    assert found[37:48, 12:23].min() == 1
    assert found[37:48, 37:48].min() == 1


def test_edge_alpha_solves_the_mixture() -> None:
    alpha = ellipse(96, 96)
    foreground = np.array([220, 60, 40], np.float32)
    background = np.full((96, 96, 3), (40, 80, 160), np.float32)
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    rough = (alpha > 0.5).astype(np.float32)
    rounded = np.rint(image).astype(np.uint8)
    solved = edge_alpha(rounded, rounded, background, rough)
    assert np.abs(solved - alpha).mean() < 0.002
    assert np.abs(rough - alpha).mean() > 0.004  # what it started from


def test_the_plate_finds_the_object_despite_noise_and_shadow() -> None:
    for seed in range(3):
        image, plate, alpha = studio(seed)
        found = PlateMatting(plate)(image)
        assert np.abs(found / 255 - alpha).mean() < 0.012
        shadow = np.roll(alpha, 20, 1) * (alpha == 0)
        assert (found / 255 * shadow).sum() / shadow.sum() < 0.08


@pytest.mark.fault("4.8")
def test_a_share_of_nothing_leaves_nothing() -> None:
    """The left half is somebody else's."""
    image, plate, alpha = studio()
    share = np.ones((128, 128), np.float32)
    share[:, :64] = 0
    found = PlateMatting(plate)(image, share)
    assert not found[:, :62].any()
    assert np.abs(found / 255 - alpha)[:, 68:].mean() < 0.02
