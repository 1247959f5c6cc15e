import pytest
import torch

from avatar.losses.charbonnier import charbonnier


def test_an_error_by_hand() -> None:
    images, truth = torch.tensor([[0.3, 0.5], [0.5, 0.5]]), torch.tensor([[0.0, 0.5], [0.5, 0.5]])
    errors, gradient = charbonnier(images, truth, 0.4)  # the root of 0.3^2 + 0.4^2 is 0.5
    assert errors.tolist() == pytest.approx([0.05, 0])
    assert gradient.flatten().tolist() == pytest.approx([0.3, 0, 0, 0])


def test_the_bits_are_those_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    images, truth = (torch.rand(2, 1, 90, 70, 3, generator=generator) for _ in range(2))
    images.requires_grad_()
    root = ((images - truth).square() + 0.05**2).sqrt()
    expected = (root - 0.05).flatten(1).mean(1)
    (slope,) = torch.autograd.grad(expected.sum(), images)
    errors, gradient = charbonnier(images, truth, 0.05)
    assert torch.equal(errors, expected)
    assert torch.equal(gradient, slope)
