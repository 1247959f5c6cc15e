import cv2
import numpy as np
import pytest

from pipeline.matte.temporal import MEMORY, Steady


def test_a_still_picture_keeps_its_alpha_still() -> None:
    """Noise in alpha shrinks to what the memory leaves of it."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    alphas = random.integers(100, 140, (60, 64, 64), dtype=np.uint8)
    steady = Steady()
    kept = np.stack([steady(image, alpha) for alpha in alphas])[30:]
    # Variance of an exponential average: (1 - m) / (1 + m) of the samples'.
    expected = alphas.std() * np.sqrt((1 - MEMORY) / (1 + MEMORY))
    assert abs(kept.std() / expected - 1) < 0.1


@pytest.mark.parametrize("speed", [0.25, 1, 6])
def test_nothing_trails_behind_what_moves(speed: float) -> None:
    """A bright square over a noisy dark wall: slow, walking and fast."""
    random = np.random.default_rng(0)
    steady = Steady()
    for t in range(12):
        x = 20 + speed * t
        large = np.zeros((96, 96 * 8), np.uint8)
        large[30:60, round(8 * x) : round(8 * (x + 24))] = 255
        alpha = cv2.resize(large, (96, 96), interpolation=cv2.INTER_AREA)
        image = 40 + alpha[..., None] / 255 * np.array([150, 120, 100])
        image = image + random.normal(0, 1.5, image.shape)
        kept = steady(np.rint(image).astype(np.uint8), alpha)
    difference = np.abs(kept.astype(int) - alpha)
    assert difference.max() <= 25
    assert difference.mean() < 0.05


def test_what_is_uncovered_by_something_of_its_own_colour_is_let_go() -> None:
    image = np.full((64, 64, 3), 30, np.uint8)
    steady = Steady()
    steady(image, np.full((64, 64), 255, np.uint8))
    assert not steady(image, np.zeros((64, 64), np.uint8)).any()
