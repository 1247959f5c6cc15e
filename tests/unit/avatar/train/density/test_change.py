"""Rows that are selected, and faces that would be left without a Gaussian."""

import torch

from avatar.gaussians.model import RiggedGaussians
from avatar.train.density.change import emptied, last_of_face, select, world_size


def _gaussians(binding: list[int], opacities: list[float]) -> RiggedGaussians:
    gaussians = RiggedGaussians.on_faces(len(binding))
    gaussians.binding = torch.tensor(binding)
    gaussians.opacity_logits = torch.tensor(opacities).logit()
    gaussians.means_local[:, 0] = torch.arange(len(binding))
    return gaussians


def test_rows_are_taken_in_order_with_their_binding() -> None:
    chosen = select(_gaussians([4, 5, 6], [0.1, 0.2, 0.3]), torch.tensor([2, 0, 2]))
    assert chosen.means_local[:, 0].tolist() == [2, 0, 2]
    assert chosen.binding.tolist() == [6, 4, 6]


def test_size_in_the_world_is_the_largest_axis_times_the_faces_scale() -> None:
    gaussians = _gaussians([1, 0], [0.5, 0.5])
    gaussians.log_scales[0] = torch.tensor([1.0, 3.0, 2.0]).log()
    assert torch.allclose(
        world_size(gaussians, torch.tensor([0.01, 0.1])), torch.tensor([0.3, 0.01])
    )


def test_all_of_a_face_whose_every_one_is_unwanted() -> None:
    gaussians = _gaussians([0, 3, 0, 3, 7], [0.5] * 5)
    unwanted = torch.tensor([True, True, True, False, True])
    assert emptied(gaussians, unwanted).tolist() == [True, False, True, False, True]


def test_the_most_opaque_of_such_a_face_and_the_first_of_equals() -> None:
    gaussians = _gaussians([0, 0, 0, 1, 1], [0.1, 0.3, 0.3, 0.2, 0.4])
    unwanted = torch.tensor([True, True, True, True, False])
    assert last_of_face(gaussians, unwanted).tolist() == [False, True, False, False, False]
