import flip_evaluator
import numpy as np
import pytest
import torch

from avatar.evaluate import metrics
from avatar.losses.ssim import ssim_map


def _pair(size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    truth = np.stack([x, y, 0.5 + 0.5 * np.sin(12 * x * y)], 2)
    image = np.clip(truth + 0.15 * random.standard_normal(truth.shape), 0, 1)
    image[:, : size // 4] = truth[:, : size // 4] = 1
    return image.astype(np.float32), truth.astype(np.float32)


def test_psnr_by_hand() -> None:
    image, truth = np.full((4, 4, 3), 0.6, np.float32), np.full((4, 4, 3), 0.5, np.float32)
    error = metrics.squared_error(image, truth)
    assert metrics.psnr(float(error.mean())) == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(0.0) == 100


def test_ssim_is_that_of_training() -> None:
    image, truth = _pair()
    expected = ssim_map(*(torch.from_numpy(v).double() for v in (image, truth))).mean(-1).numpy()
    assert metrics.ssim(image, truth).mean() == pytest.approx(expected.mean(), abs=1e-6)


def test_flip_is_the_authors() -> None:
    image, truth = _pair()
    expected, _, _ = flip_evaluator.evaluate(truth, image, "LDR", applyMagma=False)
    got = metrics.flip(image, truth)
    # Both are float32; a square root near zero makes 1e-6 into 1e-3.
    assert np.abs(got - expected[..., 0]).max() < 5e-3
    assert got.mean() == pytest.approx(float(expected.mean()), abs=2e-4)


def test_flip_of_equal_images_is_zero() -> None:
    _, truth = _pair()
    assert metrics.flip(truth, truth).max() == 0


def test_regions_are_measured_apart() -> None:
    truth = np.zeros((40, 40, 3), np.float32)
    image = truth.copy()
    image[:, 20:] = 0.1
    left = np.zeros((40, 40), bool)
    left[:, :20] = True
    regions = {"left": left, "right": ~left, "none": np.zeros_like(left)}
    scores = metrics.region_scores(metrics.all_maps(image, truth), regions)
    assert sorted(scores) == ["left", "right"]
    assert scores["left"]["psnr"] == 100
    assert scores["right"]["psnr"] == pytest.approx(20, abs=1e-4)
    assert scores["left"]["flip"] < scores["right"]["flip"]
