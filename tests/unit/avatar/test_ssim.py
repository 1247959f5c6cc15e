import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from avatar.ssim import RADIUS, ssim_map, window


def test_the_window_is_the_papers() -> None:
    taps = window()
    assert len(taps) == 11
    assert taps.sum() == pytest.approx(1)
    assert taps[5] / taps[4] == pytest.approx(np.exp(0.5 / 1.5**2))


def test_equal_to_scikit_image() -> None:
    random = np.random.default_rng(0)
    x, y = random.random((2, 40, 50, 3))
    y = 0.5 * x + 0.5 * y
    _, expected = structural_similarity(
        y, x, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=1.0, full=True,
    )  # fmt: skip
    got = ssim_map(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    inside = (slice(RADIUS, -RADIUS),) * 2  # the border is treated differently
    assert np.abs(got - expected)[inside].max() < 1e-9


def test_gradient_in_double_precision() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(2, 4, 7, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: ssim_map(v, y).mean(), x.requires_grad_())
