"""What drives the basis: components by hand, ranges, and how Gaussians follow."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.model import RiggedGaussians
from tests.gaussians import random_gaussians
from tests.rigs import toy_rig
from tests.scenes import moving_params

RIG = toy_rig()


def _params(expr: torch.Tensor, jaw: torch.Tensor | None = None):
    params = moving_params(RIG, len(expr))
    return replace(params, expr=expr, jaw_pose=torch.zeros(len(expr), 3) if jaw is None else jaw)


def _space(expr: torch.Tensor, size: int, jaw: torch.Tensor | None = None) -> ExpressionSpace:
    return ExpressionSpace.fit(_params(expr, jaw), torch.arange(len(expr)), size)


def test_one_moving_coefficient_is_the_first_component() -> None:
    expr = torch.zeros(5, 4)
    expr[:, 2] = torch.tensor([1.0, 2, 3, 4, 5])
    space = _space(expr, 3)
    weights = space.weights(expr, torch.zeros(5, 3))
    deviation = 2**0.5
    expected = (expr[:, 2] - 3) / deviation
    torch.testing.assert_close(weights[:, 0].abs(), expected.abs())
    assert weights[:, 0].square().mean().item() == pytest.approx(1, rel=1e-5)
    assert weights[:, 1:].abs().max() == 0  # nothing else moves


def test_weights_are_uncorrelated_and_fall_in_size() -> None:
    torch.manual_seed(0)
    expr = torch.randn(400, 4) * torch.tensor([3.0, 1.0, 0.3, 0.1])
    weights = _space(expr, 4).weights(expr, torch.zeros(400, 3))
    covariance = weights.T @ weights / 400
    torch.testing.assert_close(covariance, torch.diag(covariance.diag()), atol=1e-4, rtol=0)
    sizes = covariance.diag().sqrt()
    assert sizes[0].item() == pytest.approx(1, rel=1e-4)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_expression_and_jaw_count_alike_whatever_their_unit() -> None:
    torch.manual_seed(0)
    expr, jaw = torch.randn(300, 4), 0.01 * torch.randn(300, 3)
    in_degrees = _space(expr, 7, jaw * 57.3).weights(expr, jaw * 57.3)
    in_radians = _space(expr, 7, jaw).weights(expr, jaw)
    torch.testing.assert_close(in_degrees.abs(), in_radians.abs(), atol=1e-3, rtol=1e-3)
    # The jaw is among the first: three components of seven carry it.
    moved = _space(expr, 7, jaw).weights(expr[:1], jaw[:1] + 0.02) - in_radians[:1]
    assert moved.norm() > 0.5


def test_weights_stay_within_what_training_saw() -> None:
    expr = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    space = _space(expr, 4)
    far = space.weights(100 * torch.ones(1, 4), torch.zeros(1, 3))
    assert ((far >= space.lowest) & (far <= space.highest)).all()


def test_weights_fade_with_the_distance_beyond_what_training_saw() -> None:
    """By hand, one action of deviation one: full to its end, exp(-1/2) half a deviation beyond."""
    expr = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    space = _space(expr, 1)
    shown = space.weights(torch.tensor([[1.0], [1.5], [2.0], [-1.5]]), torch.zeros(4, 3))
    expected = [1, np.exp(-0.5), np.exp(-2), np.exp(-0.5)]
    assert shown[:, 0].abs().tolist() == pytest.approx(expected, rel=1e-4)
    assert float(shown[1, 0] * shown[3, 0]) < 0


def test_a_jaw_that_keeps_still_has_no_say() -> None:
    """At 0.1 rad throughout: its mean is rounded, and the rest must not become a component."""
    expr = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    jaw = torch.full((50, 3), 0.1)
    space = _space(expr, 7, jaw)
    still = _space(expr, 7)
    assert space.axes.abs().max() < 100
    torch.testing.assert_close(
        space.weights(expr, jaw).abs(), still.weights(expr, 0 * jaw).abs(), atol=1e-4, rtol=1e-4
    )


def test_only_the_given_timesteps_are_looked_at() -> None:
    expr = torch.zeros(6, 4)
    expr[:3, 0] = torch.tensor([0.0, 1, 2])
    expr[3:, 1] = 100.0
    space = ExpressionSpace.fit(_params(expr), torch.arange(3), 2)
    moved = space.weights(expr[3:4], torch.zeros(1, 3)) - space.weights(
        torch.zeros(1, 4), torch.zeros(1, 3)
    )
    assert moved.abs().max() < 1e-6


def test_the_basis_moves_means_in_the_face_and_colours() -> None:
    rig = toy_rig()
    gaussians = random_gaussians(len(rig.faces), sh_degree=0, basis=3)
    weights = torch.tensor([[1.0, 0, 0], [0, 2.0, 0]])
    verts = rig.v_template.expand(2, -1, -1)
    got = gaussians.activate(verts, rig.faces, weights=weights)
    for pose, (column, weight) in enumerate([(0, 1.0), (1, 2.0)]):
        by_hand = replace(
            gaussians,
            means_local=gaussians.means_local + weight * gaussians.basis_means[:, :, column],
            sh_dc=gaussians.sh_dc + weight * gaussians.basis_colors[:, None, :, column],
        ).activate(verts[pose], rig.faces)
        torch.testing.assert_close(got.means[pose], by_hand.means, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(got.sh_coeffs[pose], by_hand.sh_coeffs)
        torch.testing.assert_close(got.quats[pose], by_hand.quats)


def test_a_basis_of_zero_changes_no_bit() -> None:
    rig = toy_rig()
    plain = random_gaussians(len(rig.faces), basis=0)
    with_basis = RiggedGaussians(
        **plain.tensors()
        | {n: torch.zeros(len(plain), 3, 4) for n in ("basis_means", "basis_colors")}
    )
    verts = rig.v_template[None]
    one = plain.activate(verts, rig.faces)
    other = with_basis.activate(verts, rig.faces, weights=torch.ones(1, 4))
    assert torch.equal(one.means, other.means)
    assert torch.equal(one.sh_coeffs.expand_as(other.sh_coeffs), other.sh_coeffs)


def test_gradients_reach_the_basis_and_not_the_rig() -> None:
    rig = toy_rig()
    gaussians = random_gaussians(len(rig.faces), sh_degree=0, basis=2)
    gaussians.basis_means.requires_grad_()
    expr = torch.randn(5, 4, requires_grad=True)
    space = _space(expr.detach(), 2)
    weights = space.weights(expr, torch.zeros(5, 3))
    assert not weights.requires_grad
    verts = rig.v_template.expand(5, -1, -1)
    gaussians.activate(verts, rig.faces, weights=weights).means.sum().backward()
    gradient = gaussians.basis_means.grad
    assert gradient is not None
    # The sum over world axes of k R d, times the weight, summed over timesteps.
    torch.testing.assert_close(
        gradient[:, :, 0] * weights[:, 1].sum(),
        gradient[:, :, 1] * weights[:, 0].sum(),
        atol=1e-5,
        rtol=1e-4,
    )
