from typing import Any

import pytest
import torch

from avatar.gaussians.model import PARAMETERS, RiggedGaussians
from avatar.train.density.change import Change, select
from avatar.train.optimiser import Optimiser
from avatar.train.presets import Rates, RigTuning


def _optimiser(**tuning: Any) -> Optimiser:
    rig = {
        "expr": torch.zeros(3, 2),
        "translation": torch.zeros(3, 3),
        "neck_shift": torch.zeros(3, 3),
        "soft_offset": torch.zeros(3, 6),  # has no rate: it is not tuned
        "jaw_pose": torch.zeros(3, 3),
    }
    start = RiggedGaussians.on_faces(4, sh_degree=1)
    return Optimiser(start, rig, Rates(final=0.25), RigTuning(**tuning), 0.1, torch.tensor([0, 2]))


def _step(optimiser: Optimiser, share: float = 0.0) -> dict[str, torch.Tensor]:
    """One step down a slope of one; Adam's first step is the rate. Returns the moves."""
    leaves = {name: getattr(optimiser.gaussians, name) for name in PARAMETERS} | optimiser.rig
    before = {name: value.detach().clone() for name, value in leaves.items()}
    sum(value.sum() for value in leaves.values()).backward()
    optimiser.schedule(share)
    optimiser.step()
    return {name: before[name] - value.detach() for name, value in leaves.items()}


def test_the_first_step_of_each_tensor_is_its_rate() -> None:
    moves = _step(_optimiser())
    rates = {
        "means_local": 5e-3 * 0.1,
        "log_scales": 0.017,
        "quats_local": 1e-3,
        "opacity_logits": 0.05,
        "sh_dc": 2.5e-3,
        "sh_rest": 1.25e-4,
        "expr": 1e-3,
        "translation": 1e-6,
        "neck_shift": 1e-6,
        "jaw_pose": 1e-5,
    }
    for name, rate in rates.items():
        assert moves[name].flatten().tolist() == pytest.approx(
            [rate] * moves[name].numel(), rel=1e-3
        )


def test_a_colour_with_little_evidence_hardly_moves() -> None:
    """Slopes of 1 and of a hundredth: with an epsilon of 0.1, 10/11 and 1/11 of the rate."""
    start = RiggedGaussians.on_faces(2, sh_degree=1, basis=1)
    optimiser = Optimiser(start, {}, Rates(), RigTuning(), 0.1, torch.tensor([0]), color_eps=0.1)
    slopes = torch.tensor([1.0, 0.01])
    leaves = {name: getattr(optimiser.gaussians, name) for name in PARAMETERS}
    sum((value.flatten(1) if value.ndim > 1 else value[:, None]).sum(1) @ slopes
        for value in leaves.values()).backward()  # fmt: skip
    before = {name: value.detach().clone() for name, value in leaves.items()}
    optimiser.schedule(0.0)
    optimiser.step()
    for name, rate in (("sh_dc", 2.5e-3), ("sh_rest", 1.25e-4), ("basis_colors", 3e-4)):
        moved = (before[name] - leaves[name].detach()).flatten(1).mean(1) / rate
        assert moved.tolist() == pytest.approx([10 / 11, 1 / 11], rel=1e-3)
    for name, rate in (("log_scales", 0.017), ("basis_means", 3e-4)):
        moved = (before[name] - leaves[name].detach()).flatten(1).mean(1) / rate
        assert moved.tolist() == pytest.approx([1, 1], rel=1e-3)


def test_the_means_rate_falls_exponentially_with_the_run() -> None:
    for share, expected in ((0.0, 5e-4), (0.5, 5e-5), (1.0, 5e-6)):
        moved = _step(_optimiser(), share)["means_local"][0, 0].item()
        assert moved == pytest.approx(expected, rel=1e-3)


def test_the_other_rates_fall_over_the_last_half() -> None:
    for share, expected in ((0.0, 1.0), (0.5, 1.0), (0.75, 0.5), (1.0, 0.25)):
        moved = _step(_optimiser(), share)["opacity_logits"][0].item()
        assert moved == pytest.approx(0.05 * expected, rel=1e-3)


def test_rates_of_zero_make_constants() -> None:
    assert sorted(_optimiser(translation=0.0).rig) == ["expr", "jaw_pose"]


def test_moments_follow_their_gaussians() -> None:
    optimiser = _optimiser()
    optimiser.gaussians.sh_dc.grad = torch.arange(4.0)[:, None, None].expand(4, 1, 3).clone()
    optimiser.schedule(0.0)
    optimiser.step()
    source, fresh = torch.tensor([3, 1, 1]), torch.tensor([False, False, True])
    change = Change(select(optimiser.gaussians, source), source, fresh)
    before = change.gaussians.sh_dc.clone()
    optimiser.apply(change)
    assert optimiser.gaussians.binding.tolist() == [3, 1, 1]
    optimiser.gaussians.sh_dc.grad = torch.zeros(3, 1, 3)
    optimiser.step()
    # Without a gradient only the momentum moves: row 3 and 1 have one, the fresh row has none.
    moved = (before - optimiser.gaussians.sh_dc.detach()).abs()[:, 0, 0]
    assert (moved > 0).tolist() == [True, True, False]


def test_the_caller_keeps_its_tensors() -> None:
    start, rig = RiggedGaussians.on_faces(2), {"expr": torch.zeros(1, 2)}
    optimiser = Optimiser(start, rig, Rates(), RigTuning(), 0.1, torch.tensor([0]))
    _step(optimiser)
    assert rig["expr"].abs().max() == 0
    assert start.sh_dc.abs().max() == 0


def test_centred_tuning_has_no_common_shift() -> None:
    optimiser = _optimiser(centred=True)
    before = optimiser.rig["expr"].detach().clone()
    optimiser.rig["expr"].grad = torch.tensor([[1.0, 1], [0, 0], [-1, 1]])
    optimiser.schedule(0.0)
    optimiser.step()
    moved = optimiser.rig["expr"].detach() - before
    # Timesteps 0 and 2 are trained: what moves them apart stays, what moves both is taken out.
    assert moved[:, 0].tolist() == pytest.approx([-1e-3, 0, 1e-3], rel=1e-3)
    assert moved[:, 1].tolist() == pytest.approx([0, 0, 0], abs=1e-9)
