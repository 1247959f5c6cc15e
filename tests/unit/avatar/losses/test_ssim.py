"""SSIM against scikit-image, and the fused sweep against both."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from avatar.evaluate import metrics
from avatar.losses.ssim import C1, C2, FusedAppearance, ssim_map, window

SIZES = [(1, 1), (2, 3), (5, 7), (11, 11), (31, 33), (64, 20), (65, 41), (129, 23), (70, 90)]
KINDS = ["noise", "smooth", "white", "spots"]


def _pair(size: tuple[int, int], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """An image and its truth (float32 values); larger ones agree in their upper third, in white.

    `spots` agree but for two pixels, of which one lies at a border.
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    truth = {
        "noise": random.random((*size, 3)),
        "smooth": np.stack([x, y, 0.5 + 0.5 * np.sin(12 * x * y)], 2),
        "white": np.ones((*size, 3)),
        "spots": random.random((*size, 3)),
    }[kind]
    noise = 0.1 * random.standard_normal(truth.shape)
    if kind == "spots":
        noise[1:-1] = 0
        noise[:, :-1] = 0
        noise[size[0] // 2, size[1] // 2] = 0.1
    image = np.clip(truth + noise, 0, 1)
    if size[0] > 20:
        image[: size[0] // 3] = truth[: size[0] // 3] = 1
    return image.astype(np.float32), truth.astype(np.float32)


def _scikit(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Scikit-image's map in double precision; the zeros beyond the border are put there."""
    margin = ((10, 10), (10, 10), (0, 0))
    x, y = (np.pad(v.astype(np.float64), margin) for v in (image, truth))
    _, values = structural_similarity(
        y,
        x,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    return values[10:-10, 10:-10]


def _fused(image: np.ndarray, truth: np.ndarray, weight: float = 1.0) -> tuple[list[float], ...]:
    """Mean SSIM, L1 and squared error, and the gradient for the image."""
    x = torch.tensor(image, requires_grad=True)
    loss, means = FusedAppearance.apply(x, torch.tensor(truth), weight)
    loss.backward()
    assert x.grad is not None
    return means.tolist(), x.grad.numpy()


def _gradient(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Autograd's gradient of 1 - SSIM, in double precision."""
    x, y = (torch.tensor(v, dtype=torch.float64) for v in (image, truth))
    x.requires_grad_()
    (1 - ssim_map(x, y).mean()).backward()
    assert x.grad is not None
    return x.grad.numpy()


def test_the_window_is_the_papers() -> None:
    taps = window()
    assert len(taps) == 11
    assert taps.sum() == pytest.approx(1)
    assert taps[5] / taps[4] == pytest.approx(np.exp(0.5 / 1.5**2))


def test_one_pixel_by_hand() -> None:
    """Beyond it is black: the window's mean of v is w v, where w is its centre squared."""
    x, y, w = 0.8, 0.5, window()[5] ** 2
    varied = (2 * (w - w * w) * x * y + C2) / ((w - w * w) * (x * x + y * y) + C2)
    expected = varied * (2 * w * w * x * y + C1) / (w * w * (x * x + y * y) + C1)
    image, truth = np.full((1, 1, 3), x, np.float32), np.full((1, 1, 3), y, np.float32)
    assert _fused(image, truth)[0][0] == pytest.approx(expected, abs=1e-6)
    exact = ssim_map(torch.full((1, 1, 3), x).double(), torch.full((1, 1, 3), y).double())
    assert exact[0, 0].tolist() == pytest.approx([expected] * 3, abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_scikit_image(size: tuple[int, int], kind: str) -> None:
    image, truth = _pair(size, kind)
    expected = _scikit(image, truth)
    exact = ssim_map(*(torch.tensor(v, dtype=torch.float64) for v in (image, truth))).numpy()
    assert np.abs(exact - expected).max() < 1e-11
    assert _fused(image, truth)[0][0] == pytest.approx(expected.mean(), abs=1e-6)
    assert metrics.ssim(image, truth).mean() == pytest.approx(expected.mean(), abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_gradient_is_autograds(size: tuple[int, int], kind: str) -> None:
    """Element by element: relative to the element or, where it nearly vanishes, to the largest."""
    image, truth = _pair(size, kind)
    expected, got = _gradient(image, truth), _fused(image, truth)[1]
    magnitude = np.abs(expected)
    scale = np.maximum(magnitude, 1e-3 * magnitude.max())
    assert (np.abs(got - expected) / scale).max() < 4e-3
    assert np.linalg.norm(got - expected) < 3e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (65, 41)])
def test_the_fused_gradient_is_the_slope_of_scikit_image(size: tuple[int, int]) -> None:
    image, truth = _pair(size, "noise")
    _, got = _fused(image, truth)
    random, step = np.random.default_rng(1), 1e-5
    for _ in range(12):
        place = tuple(int(random.integers(n)) for n in image.shape)
        moved = np.repeat(image[None].astype(np.float64), 2, 0)
        moved[(0, *place)] += step
        moved[(1, *place)] -= step
        above, below = (1 - _scikit(v, truth).mean() for v in moved)
        slope = (above - below) / (2 * step)
        assert got[place] == pytest.approx(slope, rel=1e-3, abs=1e-3 * np.abs(got).max())


def test_equal_images_have_no_gradient() -> None:
    truth = _pair((70, 90), "noise")[1]
    means, gradient = _fused(truth, truth)
    assert means == [1.0, 0.0, 0.0]
    assert not gradient.any()


def test_a_batch_is_each_of_its_images() -> None:
    pairs = [_pair((70, 9), kind) for kind in KINDS]
    x, y = (torch.tensor(np.stack(v))[None] for v in zip(*pairs, strict=True))
    means, gradient = _fused(x.numpy(), y.numpy(), 0.3)
    alone = [_fused(image, truth, 0.3) for image, truth in pairs]
    assert means == pytest.approx(np.mean([values for values, _ in alone], 0), rel=1e-6)
    expected = np.stack([slopes for _, slopes in alone]) / len(pairs)
    assert np.allclose(gradient[0], expected, rtol=1e-5)
    maps = ssim_map(x, y)
    assert maps.shape == x.shape
    for k in range(len(pairs)):
        assert torch.allclose(maps[0, k], ssim_map(x[0, k], y[0, k]), atol=1e-6)


def test_a_view_that_is_not_contiguous() -> None:
    image, truth = _pair((31, 33), "smooth")
    turned = [torch.tensor(v).transpose(0, 1) for v in (image, truth)]
    _, means = FusedAppearance.apply(*turned, 1.0)
    straight = [v.transpose(1, 0, 2).copy() for v in (image, truth)]
    assert means.tolist() == pytest.approx(_fused(*straight)[0], abs=1e-7)


def test_gradient_in_double_precision() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(2, 4, 7, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: ssim_map(v, y).mean(), x.requires_grad_())


def test_no_convolution_is_rounded_to_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the forward nor in the backward pass."""
    allowed: list[bool] = []
    convolve = torch.nn.functional.conv2d

    def watched(*arguments, **named):
        allowed.append(torch.backends.cudnn.allow_tf32)
        return convolve(*arguments, **named)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    image, truth = (torch.tensor(v) for v in _pair((31, 33), "smooth"))
    image.requires_grad_()
    ssim_map(image, truth).mean().backward()
    assert allowed == [False] * 4
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu_it_is_as_exact_as_on_the_cpu(kind: str) -> None:
    image, truth = (torch.tensor(v, device="cuda") for v in _pair((129, 23), kind))
    image.requires_grad_()
    value = ssim_map(image, truth)
    (1 - value.mean()).backward()
    exact = _scikit(image.detach().cpu().numpy(), truth.cpu().numpy())
    np.testing.assert_allclose(value.detach().cpu().numpy(), exact, atol=2e-4)
    gradient = _gradient(image.detach().cpu().numpy(), truth.cpu().numpy())
    assert image.grad is not None
    error = np.linalg.norm(image.grad.cpu().numpy() - gradient) / np.linalg.norm(gradient)
    assert error < 1e-3
