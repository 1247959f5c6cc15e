import cv2
import numpy as np

from avatar.data.foreground import foreground

WALL, SKIN = np.array([40.0, 200, 60]), np.array([210.0, 120, 90])


def disk() -> np.ndarray:
    """Alpha (bytes) of a disk with a soft rim."""
    large = np.zeros((800, 800), np.uint8)
    cv2.circle(large, (400, 400), 240, 255, -1)
    sharp = cv2.resize(large, (100, 100), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(sharp, (0, 0), 1.5)


def filmed(alpha: np.ndarray, person: np.ndarray, wall: np.ndarray) -> np.ndarray:
    cover = alpha[..., None] / 255
    return np.rint(cover * person + (1 - cover) * wall).astype(np.uint8)


def test_flat_colours_come_back() -> None:
    alpha = disk()
    image = filmed(alpha, SKIN, WALL)
    found = foreground(image, alpha)
    seen = alpha > 25
    assert np.abs(found[seen] - SKIN).max() <= 12  # bytes at half size, carried two pixels out
    assert np.abs(image[seen] - SKIN).max() > 60  # with the wall in it


def test_nothing_else_changes() -> None:
    alpha = disk()
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    found = foreground(image, alpha)
    whole = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(found[whole], image[whole])
    for flat in (np.zeros_like(alpha), np.full_like(alpha, 255)):
        np.testing.assert_array_equal(foreground(image, flat), image)


def test_the_composite_over_another_wall_is_nearer_to_the_truth() -> None:
    """Shaded skin before a striped wall: a third of the error at partly covered pixels."""
    alpha = disk()
    y, x = np.mgrid[:100, :100]
    person = SKIN * (0.6 + 0.4 * y[..., None] / 100)
    wall = WALL * (0.7 + 0.3 * np.sin(x[..., None] / 6))
    image = filmed(alpha, person, wall)
    cover = alpha[..., None] / 255
    white = 255 * (1 - cover)
    partial = (alpha > 0) & (alpha < 255)
    truth = cover * person + white
    errors = [
        np.abs(cover * colours + white - truth)[partial].mean()
        for colours in (image, foreground(image, alpha))
    ]
    assert errors[1] < errors[0] / 3
