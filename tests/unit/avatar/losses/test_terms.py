"""Each loss worked by hand, and by its gradient."""

import pytest
import torch

from avatar.losses.terms import appearance, opacity_loss, position_loss, scale_loss

ALL = torch.tensor([True])


def _gradient(loss, values: torch.Tensor) -> list[float]:
    values = values.clone().requires_grad_()
    loss(values).backward()
    assert values.grad is not None
    return values.grad[0].tolist()


def test_position_loss_by_hand() -> None:
    means = torch.tensor([[3.0, 0, 4], [0.5, 0, 0], [9, 9, 9]])
    visible = torch.tensor([True, True, False])
    assert position_loss(means, visible).item() == pytest.approx((4 + 0) / 2)
    assert position_loss(means, visible, limit=2.0).item() == pytest.approx(3 / 2)
    assert position_loss(means, visible, form="max").item() == pytest.approx((5 + 1) / 2)


def test_position_hinge_and_max_have_one_gradient() -> None:
    for mean in ([3.0, 0, 4], [0.5, 0, 0]):
        hinge, largest = (
            _gradient(lambda m, f=form: position_loss(m, ALL, form=f), torch.tensor([mean]))
            for form in ("hinge", "max")
        )
        assert hinge == pytest.approx(largest)
    assert hinge == [0, 0, 0]


def test_scale_loss_by_hand() -> None:
    scales = torch.tensor([[0.9, 0.7, 0.3]]).log()
    assert scale_loss(scales, ALL).item() == pytest.approx((0.3**2 + 0.1**2) ** 0.5)
    expected = (0.9**2 + 0.7**2 + 0.6**2) ** 0.5
    assert scale_loss(scales, ALL, form="max").item() == pytest.approx(expected)


def test_scale_hinge_and_max_differ_where_active() -> None:
    """The figures of the method's description: (0.95, 0.32, 0) against (0.70, 0.54, 0)."""
    scales = torch.tensor([[0.9, 0.7, 0.3]])
    hinge = _gradient(lambda s: scale_loss(s.log(), ALL), scales)
    largest = _gradient(lambda s: scale_loss(s.log(), ALL, form="max"), scales)
    assert hinge == pytest.approx([0.9487, 0.3162, 0], abs=1e-4)
    assert largest == pytest.approx([0.6985, 0.5433, 0], abs=1e-4)


def test_no_gradient_and_no_nan_below_the_limit_or_unseen() -> None:
    small = torch.full((1, 3), 0.1).log()
    assert _gradient(lambda s: scale_loss(s, ALL), small) == [0, 0, 0]
    assert _gradient(lambda m: position_loss(m, ALL), torch.zeros(1, 3)) == [0, 0, 0]
    none = torch.tensor([False])
    large = torch.full((1, 3), 5.0)
    assert scale_loss(large, none).item() == 0
    assert position_loss(large, none).item() == 0


def test_opacity_loss_by_hand() -> None:
    logits = torch.tensor([0.0, 100.0, -100.0])
    assert opacity_loss(logits, torch.tensor([True, True, False])).item() == pytest.approx(0.75)


def test_regularisers_gradients_in_double_precision() -> None:
    torch.manual_seed(0)
    values = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    visible = torch.tensor([True] * 4 + [False] * 2)
    for loss in (position_loss, scale_loss):
        for form in ("hinge", "max"):
            assert torch.autograd.gradcheck(lambda v, a=loss, f=form: a(v, visible, form=f), values)


@pytest.mark.parametrize("shape", [(3, 40, 30, 3), (2, 1, 21, 70, 3), (9, 9, 3)])
def test_the_fused_appearance_equals_autograd(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    truth = torch.rand(shape)
    image = (truth + 0.1 * torch.randn(shape)).clamp(0, 1)
    image[..., :4, :, :] = truth[..., :4, :, :] = 1.0
    fused, exact = image.clone().requires_grad_(), image.double().requires_grad_()
    got, expected = appearance(fused, truth, 0.3), appearance(exact, truth.double(), 0.3)
    for name in ("l1", "ssim", "squared_error"):
        value = getattr(expected, name).item()
        assert getattr(got, name).item() == pytest.approx(value, abs=1e-6)
    assert got.loss.item() == pytest.approx(expected.loss.item(), abs=1e-6)
    (2 * got.loss).backward()
    (2 * expected.loss).backward()
    assert fused.grad is not None
    assert exact.grad is not None
    # Where both are equal L1 has no slope on either side.
    assert (fused.grad - exact.grad).norm() < 1e-4 * exact.grad.norm()


def test_appearance_by_hand() -> None:
    image = torch.zeros(1, 20, 20, 3, dtype=torch.float64, requires_grad=True)
    truth = torch.full_like(image, 0.25, requires_grad=False)
    got = appearance(image, truth, ssim_weight=0.0)
    assert got.loss.item() == got.l1.item() == 0.25
    same = appearance(truth, truth, ssim_weight=1.0)
    assert same.loss.item() == pytest.approx(0)
    assert same.ssim.item() == pytest.approx(1)
