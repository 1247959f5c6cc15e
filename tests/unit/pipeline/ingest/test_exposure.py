import cv2
import numpy as np
import pytest

from pipeline.ingest.continuity import SIDE
from pipeline.ingest.exposure import BALANCE, EXPOSURE, Drift, drift


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB levels of linear light."""
    value = np.clip(linear, 0, 1)
    low, high = 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055
    return np.round(255 * np.where(value <= 0.0031308, low, high)).astype(np.uint8)


def clip(gains: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """Thumbnails of a steady scene with a disc that moves in front, times gains [N, 3]."""
    rng = np.random.default_rng(0)
    scene = rng.uniform(0.1, 0.5, (SIDE, SIDE, 3))
    frames = []
    for k, gain in enumerate(gains):
        linear = scene.copy()
        centre = (SIDE // 2 + round(5 * np.sin(0.7 * k)), SIDE // 2)
        cv2.circle(linear, centre, 6, (0.4, 0.2, 0.15), -1)
        linear *= 1 + noise * rng.normal(size=linear.shape)
        frames.append(encoded(linear * gain))
    return np.stack(frames)


def swing(amplitude: float, channels: list[float], count: int = 100) -> np.ndarray:
    return 1 + amplitude * np.sin(np.linspace(0, 9, count))[:, None] * np.array(channels)


@pytest.mark.fault("M9")
@pytest.mark.parametrize(
    ("gains", "exposure", "balance"),
    [
        (swing(0.25, [1, 1, 1]), np.log2(1.25 / 0.75), 0),
        (swing(0.08, [1, 0, -1]), 0, np.log2(1.08 / 0.92)),
        (np.repeat([[1.0] * 3, [2**-0.4] * 3], 50, 0), 0.4, 0),
        (np.ones((100, 3)), 0, 0),
    ],
    ids=["gain", "white balance", "step", "steady"],
)
def test_drift_is_measured_past_a_moving_person(
    gains: np.ndarray, exposure: float, balance: float
) -> None:
    found = drift(clip(gains, noise=0.02))
    assert found is not None
    assert found.exposure == pytest.approx(exposure, abs=0.03)
    assert found.balance == pytest.approx(balance, abs=0.03)
    assert found.notable == (exposure > EXPOSURE or balance > BALANCE)


def test_what_is_below_the_noise_is_not_notable() -> None:
    assert Drift(0.3, 0.0, 0.1).notable
    assert Drift(0.0, 0.3, 0.1).notable
    assert Drift(0.3, 0.0, 0.5).notable
    assert not Drift(0.3, 0.0, 0.7).notable
    assert not Drift(0.0, 0.3, 0.25).notable


def test_darkness_and_glare_tell_nothing() -> None:
    for level in (0, 5, 255):
        assert drift(np.full((10, SIDE, SIDE, 3), level, np.uint8)) is None
    assert drift(clip(np.ones((7, 3)))) is None
