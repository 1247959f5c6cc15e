import pytest
import torch

from avatar.gaussians.camera_colors import correct, distance, identity


def test_the_identity_changes_nothing() -> None:
    torch.manual_seed(0)
    alpha = torch.rand(2, 3, 4, 5, 1)
    rgb, behind = torch.rand(2, 3, 4, 5, 3), torch.rand(2, 3, 3)
    same = correct(rgb, alpha, behind, identity(3).expand(2, 3, 3, 4))
    torch.testing.assert_close(same, rgb)
    assert distance(identity(3)).item() == 0


def test_a_correction_by_hand_leaves_the_background_alone() -> None:
    """Half covered by (0.2, 0.4, 0.6) over white: A doubles red, b adds 0.1 to green."""
    own = torch.tensor([0.2, 0.4, 0.6])
    rgb = (0.5 * own + 0.5).expand(1, 1, 3)
    correction = identity(1)[0]
    correction[0, 0], correction[1, 3] = 2.0, 0.1
    got = correct(rgb, torch.full((1, 1, 1), 0.5), torch.ones(3), correction)
    expected = 0.5 * torch.tensor([0.4, 0.5, 0.6]) + 0.5
    torch.testing.assert_close(got[0, 0], expected)
    uncovered = correct(torch.ones(1, 1, 3), torch.zeros(1, 1, 1), torch.ones(3), correction)
    assert uncovered.flatten().tolist() == [1, 1, 1]
    assert distance(correction).item() == pytest.approx((1.0 + 0.01) / 12)


def test_gradients_in_double_precision() -> None:
    torch.manual_seed(0)
    inputs = [
        torch.rand(shape, dtype=torch.float64, requires_grad=True)
        for shape in [(2, 3, 3, 3), (2, 3, 3, 1), (2, 3), (2, 3, 4)]
    ]
    assert torch.autograd.gradcheck(correct, inputs)
    assert torch.autograd.gradcheck(distance, inputs[3])
