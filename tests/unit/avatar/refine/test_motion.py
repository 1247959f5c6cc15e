"""The vector of refined parameters: stacking, changing, interpolating."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.refine import motion
from avatar.rig import HeadRig
from avatar.rig.params import POSES
from tests.scenes import moving_params


def test_every_pose_is_refined_and_stacked_in_order(rig: HeadRig) -> None:
    params = moving_params(rig, 6)
    stacked = motion.stack(params, torch.tensor([4, 1]))
    assert sorted(motion.UNITS) == sorted(POSES)
    assert motion.units(params).shape == stacked.shape[1:]
    for name, part in motion.split(stacked, params).items():
        assert torch.equal(part, getattr(params, name)[[4, 1]]), name
    columns = motion.split(motion.units(params)[None], params)
    assert float(columns["translation"][0, 0]) == pytest.approx(0.01)


def test_a_change_is_added_where_it_is_known_and_nowhere_else(rig: HeadRig) -> None:
    params = moving_params(rig, 6)
    change = torch.ones(2, motion.units(params).shape[0])
    new = motion.changed(params, np.array([0, 5]), change)
    for name in POSES:
        difference = getattr(new, name) - getattr(params, name)
        assert difference[[0, 5]].numpy() == pytest.approx(1, abs=1e-6), name
        assert not difference[1:5].any(), name


def test_changes_are_linear_between_and_held_beyond_within_their_sequence(rig: HeadRig) -> None:
    params = moving_params(rig, 6)
    params = replace(params, sequence=np.array(["a", "a", "a", "a", "a", "b"]))
    change = torch.zeros(2, motion.units(params).shape[0])
    change[1] = 0.4
    known, others = np.array([1, 3]), np.array([0, 2, 4, 5])
    new = motion.interpolated(params, known, change, others)
    difference = (new.rotation - params.rotation)[:, 0].numpy()
    assert difference == pytest.approx([0, 0, 0.2, 0, 0.4, 0], abs=1e-6)


def test_only_the_control_points_share_the_mean_of_their_squares(rig: HeadRig) -> None:
    params = moving_params(rig, 2)
    squares = torch.rand(motion.stack(params, torch.arange(2)).shape)
    before = motion.split(squares, params)
    after = motion.split(motion.evened(squares, params), params)
    for name in POSES:
        if name == "soft_offset":
            expected = before[name].mean(1, keepdim=True).expand_as(before[name])
            torch.testing.assert_close(after[name], expected)
        else:
            assert torch.equal(after[name], before[name]), name


def test_both_eyes_turn_alike_and_do_not_roll(rig: HeadRig) -> None:
    params = moving_params(rig, 2)
    gradient = torch.rand(motion.stack(params, torch.arange(2)).shape)
    before = motion.split(gradient, params)
    after = motion.split(motion.conjugate(gradient, params), params)
    left, right = before["eyes_pose"].split(3, 1)
    mean = (left + right) / 2
    mean[:, 2] = 0
    torch.testing.assert_close(after["eyes_pose"], torch.cat([mean, mean], 1))
    assert all(torch.equal(after[name], before[name]) for name in POSES if name != "eyes_pose")


def test_actions_keep_within_their_range_and_directions_have_none(rig: HeadRig) -> None:
    params = moving_params(rig, 2)
    values = motion.stack(params, torch.arange(2))
    names = [f"action{i}" for i in range(rig.num_expr)]
    actions = HeadRig(rig.name, rig.tensors(), names, rig.masks)
    directions = HeadRig(
        rig.name, rig.tensors(), [f"principal{i}" for i in range(rig.num_expr)], rig.masks
    )
    clamped = motion.split(motion.within_range(values, params, actions), params)
    assert torch.equal(clamped["expr"], params.expr.clamp(0, 1))
    assert torch.equal(clamped["rotation"], params.rotation)
    assert torch.equal(motion.within_range(values, params, directions), values)
