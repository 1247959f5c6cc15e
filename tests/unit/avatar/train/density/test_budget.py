"""The fixed budget: what sharing keeps, what moves, what stays."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.gaussians.model import RiggedGaussians
from avatar.rig.rotations import quat_to_matrix
from avatar.train.density.budget import MOST_COPIES, grow, noise, relocate, share, shared_opacity
from tests.gaussians import random_gaussians

MIN = 0.005


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _with_opacities(opacities: list[float], binding: list[int]) -> RiggedGaussians:
    gaussians = random_gaussians(len(opacities))
    gaussians.opacity_logits = torch.tensor(opacities).logit()
    gaussians.binding = torch.tensor(binding)
    return gaussians


def test_two_copies_by_hand() -> None:
    """(1 - o')^2 = 1 - 0.75, so o' = 0.5; they cover 2 (0.5) - 0.25 / sqrt(2) of the profile."""
    opacity, size = shared_opacity(torch.tensor([0.75]), torch.tensor([2]))
    assert opacity.item() == pytest.approx(0.5)
    assert size.item() == pytest.approx(0.75 / (1 - 0.25 / math.sqrt(2)))


@pytest.mark.parametrize("opacity", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("copies", [1, 2, 5, MOST_COPIES])
def test_copies_cover_what_the_one_covered(opacity: float, copies: int) -> None:
    """By numerical integration along a line through the centre."""
    each, size = shared_opacity(torch.tensor([opacity]), torch.tensor([copies]))
    x = np.linspace(-30, 30, 200_001)
    before = opacity * np.exp(-0.5 * x**2)
    stacked = 1 - (1 - each.item() * np.exp(-0.5 * (x / size.item()) ** 2)) ** copies
    total = float(stacked.sum() / before.sum())
    assert total == pytest.approx(1, rel=1e-4)
    assert 1 - (1 - each.item()) ** copies == pytest.approx(opacity, rel=1e-4)


def test_faint_ones_move_onto_living_ones_with_their_binding() -> None:
    before = _with_opacities([0.001, 0.9, 0.001, 0.8], [0, 0, 1, 1])
    change = relocate(before, MIN, _generator())
    assert len(change.gaussians) == 4
    moved = change.source[[0, 2]]
    assert set(moved.tolist()) <= {1, 3}
    assert change.source[[1, 3]].tolist() == [1, 3]
    assert change.gaussians.binding.tolist() == before.binding[change.source].tolist()
    assert torch.equal(change.gaussians.means_local, before.means_local[change.source])
    assert torch.equal(change.gaussians.basis_means, before.basis_means[change.source])
    # Whoever is shared is fresh, and who is not keeps every bit.
    shared = torch.bincount(change.source, minlength=4)[change.source] > 1
    assert torch.equal(change.fresh, shared)
    alone = ~change.fresh
    assert torch.equal(
        change.gaussians.opacity_logits[alone], before.opacity_logits[change.source][alone]
    )


def test_living_ones_are_chosen_by_their_opacity() -> None:
    opacities = [0.001] * 3000 + [0.2, 0.6]
    before = _with_opacities(opacities, [0] * 3002)
    source = relocate(before, MIN, _generator()).source[:3000]
    assert (source == 3001).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_the_last_of_a_face_stays_where_it_is() -> None:
    before = _with_opacities([0.001, 0.002, 0.9], [0, 0, 1])
    change = relocate(before, MIN, _generator())
    assert change.source.tolist() == [2, 1, 2]
    all_faint = _with_opacities([0.001, 0.002], [0, 0])
    assert relocate(all_faint, MIN, _generator()).source.tolist() == [0, 1]


def test_growth_adds_copies_at_the_end() -> None:
    before = _with_opacities([0.5, 0.5, 0.001], [0, 1, 2])
    change = grow(before, 4, MIN, _generator())
    assert len(change.gaussians) == 7
    assert change.source[:3].tolist() == [0, 1, 2]
    assert change.gaussians.binding.tolist() == before.binding[change.source].tolist()
    assert grow(before, 0, MIN, _generator()).source.tolist() == [0, 1, 2]


def test_shared_opacities_stay_alive() -> None:
    before = _with_opacities([0.006], [0])
    after = share(before, torch.zeros(10, dtype=torch.int64), MIN).gaussians
    assert after.opacity_logits.sigmoid().min() >= MIN * (1 - 1e-5)


def test_only_faint_ones_wander() -> None:
    gaussians = _with_opacities([0.004, 0.5], [0, 0])
    steps = noise(gaussians, torch.tensor([0.01]), 100.0, _generator())
    assert steps[0].norm() > 1e4 * steps[1].norm()


def test_noise_has_the_shape_of_the_gaussian_and_the_size_of_the_triangle() -> None:
    """In the world the step is strength * covariance @ normal, so in face units k times S."""
    n = 20_000
    gaussians = random_gaussians(1)
    gaussians = share(gaussians, torch.zeros(n, dtype=torch.int64), MIN).gaussians
    gaussians.opacity_logits[:] = -100.0  # gate of sigmoid(0.5)
    gaussians.log_scales[:] = torch.tensor([0.5, 0.2, 0.1]).log()
    gaussians.binding[:] = 0
    steps = noise(gaussians, torch.tensor([0.01]), 100.0, _generator()).double()
    turn = quat_to_matrix(gaussians.quats_local[0]).double()
    shape = turn @ torch.diag(torch.tensor([0.25, 0.04, 0.01]).double()) @ turn.T
    expected = (1 / (1 + math.exp(-0.5)) * 100 * 0.01) * shape
    covariance = torch.cov(steps.T)
    torch.testing.assert_close(covariance, expected @ expected, rtol=0.1, atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_no_face_ever_empties(seed: int, faces: int) -> None:
    """A hundred rounds of arbitrary opacities, twenty times."""
    generator = _generator(seed)
    gaussians = RiggedGaussians.on_faces(faces)
    for _ in range(100):
        n = len(gaussians)
        gaussians.opacity_logits = 6 * torch.randn(n, generator=generator) - 3
        gaussians = relocate(gaussians, MIN, generator).gaussians
        assert len(gaussians) == n
        room = 5 * faces - n
        count = min(room, int(torch.randint(0, 3, (1,), generator=generator)))
        gaussians = grow(gaussians, count, MIN, generator).gaussians
        assert gaussians.binding.unique().tolist() == list(range(faces))
        assert gaussians.log_scales.isfinite().all()
        assert gaussians.opacity_logits.isfinite().all()
