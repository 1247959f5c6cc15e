"""Smoothing over a mesh: constants stay, sums stay, neighbours follow, gradients are exact."""

import pytest
import torch

from avatar.rig import HeadRig
from avatar.rig.smooth import Smoother


def test_a_constant_field_stays_and_every_field_keeps_its_sum(rig: HeadRig) -> None:
    smooth = Smoother(rig.faces, rig.num_verts)
    assert torch.allclose(smooth(torch.ones(rig.num_verts, 3)), torch.ones(rig.num_verts, 3))
    field = torch.randn(rig.num_verts, 3, generator=torch.Generator().manual_seed(0))
    assert smooth(field).sum(0).numpy() == pytest.approx(field.sum(0).numpy(), abs=1e-4)
    assert float(smooth(field).std()) < 0.3 * float(field.std())


def test_a_strip_of_three_vertices_by_hand() -> None:
    # Two triangles on an edge: vertices 1 and 2 have degree 3, 0 and 3 have degree 2.
    smooth = Smoother(torch.tensor([[0, 1, 2], [2, 1, 3]]), 4)
    laplacian = torch.tensor([[2.0, -1, -1, 0], [-1, 3, -1, -1], [-1, -1, 3, -1], [0, -1, -1, 2]])
    expected = torch.linalg.inv(torch.eye(4) + 30 * laplacian)
    assert torch.allclose(smooth(torch.eye(4)), expected, atol=1e-6)


def test_the_gradient_is_the_transpose(rig: HeadRig) -> None:
    smooth = Smoother(rig.faces, rig.num_verts)
    generator = torch.Generator().manual_seed(1)
    field, weight = (torch.randn(rig.num_verts, 3, generator=generator) for _ in range(2))
    field.requires_grad_()
    (smooth(field) * weight).sum().backward()
    # The operator is symmetric.
    assert torch.allclose(field.grad, smooth(weight), atol=1e-6)
