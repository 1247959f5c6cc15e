"""Density control: each operation by hand, and that no face ever empties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.gaussians.model import RiggedGaussians
from avatar.train.density.adaptive import DensityStats, densify, prune, reset_opacity, unwanted
from avatar.train.density.change import select

FACE_SCALE = torch.tensor([0.01, 0.001])  # m


def _gaussians(binding: list[int], opacities: list[float] | None = None) -> RiggedGaussians:
    n = len(binding)
    torch.manual_seed(0)
    return RiggedGaussians(
        means_local=torch.randn(n, 3),
        log_scales=torch.zeros(n, 3),
        quats_local=torch.nn.functional.normalize(torch.randn(n, 4), dim=1),
        opacity_logits=torch.tensor(opacities or [0.5] * n).logit(),
        sh_dc=torch.randn(n, 1, 3),
        sh_rest=torch.randn(n, 3, 3),
        basis_means=torch.randn(n, 3, 2),
        basis_colors=torch.randn(n, 3, 2),
        binding=torch.tensor(binding),
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_statistics_by_hand() -> None:
    stats = DensityStats.empty(2)
    # Two images: the first Gaussian is visible in both, the second in the second only.
    gradient = torch.tensor([[[[3.0, 4], [9, 9]]], [[[0, 0.5], [0.6, 0.4]]]])
    radii = torch.tensor([[[[5, 7], [0, 0]]], [[[3, 2], [1, 1]]]], dtype=torch.int32)
    stats.add(gradient, radii, width=20, height=10)
    # In normalised units (30, 20) and (0, 2.5), for the loss of one image twice as much.
    first = 2 * (math.hypot(30, 20) + 2.5) / 2
    assert stats.mean_gradient().tolist() == pytest.approx([first, 2 * math.hypot(6, 2)])
    assert stats.count.tolist() == [2, 1]


def test_the_threshold_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    single = torch.randn(4, 1, 3, 2)  # the gradient of each image's own loss
    radii = torch.ones(4, 1, 3, 2, dtype=torch.int32)
    one_by_one, batch = DensityStats.empty(3), DensityStats.empty(3)
    for image in range(4):
        one_by_one.add(single[image : image + 1], radii[image : image + 1], 8, 8)
    batch.add(single / 4, radii, 8, 8)
    torch.testing.assert_close(batch.mean_gradient(), one_by_one.mean_gradient())


def test_small_ones_are_cloned_and_large_ones_split() -> None:
    before = _gaussians([0, 1, 1])  # 10 mm, 1 mm, 1 mm
    change = densify(
        before,
        torch.tensor([1.0, 1.0, 0.0]),
        FACE_SCALE,
        threshold=0.5,
        split_above=0.002,
        cap=None,
        generator=_generator(),
    )
    after = change.gaussians
    assert change.source.tolist() == [1, 2, 1, 0, 0]
    assert change.fresh.tolist() == [False, False, True, True, True]
    assert after.binding.tolist() == [1, 1, 1, 0, 0]
    # The clone is a copy.
    for name, value in after.tensors().items():
        torch.testing.assert_close(value[2], getattr(before, name)[1])
    # The split's children are 1.6 times smaller, elsewhere, and otherwise the parent's.
    torch.testing.assert_close(after.log_scales[3:].exp(), torch.full((2, 3), 1 / 1.6))
    assert (after.means_local[3:] - before.means_local[0]).norm(dim=1).min() > 0
    torch.testing.assert_close(after.quats_local[3:], before.quats_local[[0, 0]])


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_split_samples_follow_the_parent_in_the_local_frame(scale: float) -> None:
    """The spread in face scales is the parent's, whatever the face's size in metres."""
    n = 4000
    before = RiggedGaussians.on_faces(1)
    before = select(before, torch.zeros(n, dtype=torch.int64))
    before.log_scales[:] = torch.tensor([0.5, 0.2, 0.1]).log()
    half = math.sqrt(0.5)
    before.quats_local[:] = torch.tensor([half, 0, 0, half])  # a quarter turn about z: x -> y
    change = densify(before, torch.ones(n), torch.tensor([scale]), 0.5, 0.0, None, _generator())
    spread = change.gaussians.means_local.std(0)
    assert spread.tolist() == pytest.approx([0.2, 0.5, 0.1], rel=0.05)


def test_the_cap_keeps_the_strongest() -> None:
    before = _gaussians([0, 1, 1, 0])
    gradient = torch.tensor([1.0, 3.0, 2.0, 0.1])
    change = densify(before, gradient, FACE_SCALE, 0.5, 1.0, cap=6, generator=_generator())
    assert change.source.tolist() == [0, 1, 2, 3, 1, 2]
    full = densify(before, gradient, FACE_SCALE, 0.5, 1.0, cap=3, generator=_generator())
    assert full.source.tolist() == [0, 1, 2, 3]


def test_what_is_unwanted_by_hand() -> None:
    gaussians = _gaussians([0, 0, 1, 1], [0.004, 0.5, 0.5, 0.5])
    gaussians.log_scales[3, 1] = math.log(20)  # 20 mm
    faint = unwanted(gaussians, FACE_SCALE, 0.005, None)
    assert faint.tolist() == [True, False, False, False]
    every = unwanted(gaussians, FACE_SCALE, 0.005, 0.015)
    assert every.tolist() == [True, False, False, True]


@pytest.mark.fault("4.5")
def test_a_face_that_would_lose_all_keeps_them() -> None:
    gaussians = _gaussians([0, 0, 0, 1, 1], [0.1, 0.3, 0.3, 0.2, 0.4])
    change = prune(gaussians, torch.tensor([True, True, True, True, False]))
    assert change.source.tolist() == [0, 1, 2, 4]
    assert change.gaussians.binding.tolist() == [0, 0, 0, 1]
    assert not change.fresh.any()


def test_reset_lowers_opacities_and_raises_none() -> None:
    after = reset_opacity(_gaussians([0, 0], [0.9, 0.001]), 0.01)
    assert after.opacity_logits.sigmoid().tolist() == pytest.approx([0.01, 0.001])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_no_face_ever_empties(seed: int, faces: int) -> None:
    """A hundred rounds of arbitrary gradients and opacities, thirty times."""
    generator = torch.Generator().manual_seed(seed)
    gaussians = RiggedGaussians.on_faces(faces)
    scale = torch.full((faces,), 0.01)
    for _ in range(100):
        gradient = torch.rand(len(gaussians), generator=generator)
        threshold = float(torch.rand(1, generator=generator))
        gaussians = densify(
            gaussians, gradient, scale, threshold, 0.005, 4 * faces, generator
        ).gaussians
        assert len(gaussians) <= 4 * faces
        gaussians.opacity_logits = torch.randn(len(gaussians), generator=generator)
        doomed = torch.rand(len(gaussians), generator=generator) < 0.8
        gaussians = prune(gaussians, doomed).gaussians
        assert gaussians.binding.unique().tolist() == list(range(faces))
