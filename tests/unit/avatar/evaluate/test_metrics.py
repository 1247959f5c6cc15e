import flip_evaluator
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional import image as torchmetrics
from torchmetrics.functional.classification import binary_jaccard_index
from torchmetrics.functional.image.ssim import _ssim_update

from avatar.evaluate import metrics
from avatar.losses.ssim import ssim_map


def _pair(size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    truth = np.stack([x, y, 0.5 + 0.5 * np.sin(12 * x * y)], 2)
    image = np.clip(truth + 0.15 * random.standard_normal(truth.shape), 0, 1)
    image[:, : size // 4] = truth[:, : size // 4] = 1
    return image.astype(np.float32), truth.astype(np.float32)


def _nchw(*images: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(v.copy()).permute(2, 0, 1)[None].double() for v in images]


def test_psnr_by_hand() -> None:
    image, truth = np.full((4, 4, 3), 0.6, np.float32), np.full((4, 4, 3), 0.5, np.float32)
    error = metrics.squared_error(image, truth)
    assert metrics.psnr(float(error.mean())) == pytest.approx(20, abs=1e-4)
    assert metrics.psnr(0.0) == 100


def test_psnr_is_torchmetrics() -> None:
    image, truth = _pair()
    expected = torchmetrics.peak_signal_noise_ratio(*_nchw(image, truth), data_range=1.0)
    error = float(metrics.squared_error(image, truth).mean())
    assert metrics.psnr(error) == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("size", [(176, 176), (179, 200)])
def test_ms_ssim_is_torchmetrics_inside_the_border(size: tuple[int, int]) -> None:
    """Odd sizes at several scales, and an image without contrast in a part.

    Of the last scale torchmetrics also averages what it reflects beyond the border; there
    scikit-image is the measure, which averages windows inside the image as the other scales do.
    """
    image, truth = (v[: size[0], : size[1]] for v in _pair(200))
    whole = torchmetrics.multiscale_structural_similarity_index_measure(
        *_nchw(image, truth), data_range=1.0
    )
    assert metrics.ms_ssim(image, truth) == pytest.approx(whole.item(), abs=2e-3)
    parts, pair = [], _nchw(image, truth)
    for _ in range(4):
        _, contrast = _ssim_update(*pair, data_range=1.0, return_contrast_sensitivity=True)
        parts.append(contrast.item())
        pair = [torch.nn.functional.avg_pool2d(v, 2) for v in pair]
    parts.append(
        structural_similarity(
            *(v[0].numpy() for v in pair), channel_axis=0, data_range=1.0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
    )  # fmt: skip
    expected = np.prod(np.array(parts) ** [0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    assert 0.1 < expected < 0.95
    assert metrics.ms_ssim(image, truth) == pytest.approx(expected, abs=2e-5)
    assert metrics.ms_ssim(truth, truth) == 1
    assert np.isnan(metrics.ms_ssim(image[:175], truth[:175]))


def test_mask_iou_is_torchmetrics() -> None:
    alpha, coverage = (v[..., 0] for v in _pair())
    alpha[:10], coverage[5:15] = 0.5, 0.49
    expected = binary_jaccard_index(
        torch.from_numpy(coverage >= 0.5).int(), torch.from_numpy(alpha >= 0.5).int()
    )
    assert metrics.mask_iou(alpha, coverage) == pytest.approx(expected.item(), abs=1e-6)
    assert metrics.mask_iou(np.zeros((2, 2)), np.zeros((2, 2))) == 1


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
    right = ~left
    regions = {"left": left, "right": right, "none": np.zeros_like(left)}
    change = np.where(right, 0.0004, 0.0)
    maps = {"error": metrics.squared_error(image, truth), "change": change}
    scores = metrics.region_scores(maps, regions)
    assert scores == {
        "left": {"psnr": 100, "flicker": 0},
        "right": {"psnr": pytest.approx(20, abs=1e-4), "flicker": pytest.approx(2)},
    }
