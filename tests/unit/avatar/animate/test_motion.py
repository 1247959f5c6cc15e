"""Poses by name, mean poses, and motion at another rate, by hand-worked values."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.animate import motion
from avatar.base.errors import UserError
from avatar.rig import HeadRig, RigParams, arkit
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix
from tests.rigs import EXPR_NAMES
from tests.scenes import moving_params


@pytest.fixture
def params(rig: HeadRig) -> RigParams:
    return moving_params(rig, 6)


def arkit_rig(rig: HeadRig) -> HeadRig:
    """The toy rig under the names of ARKit's actions; only its names are asked for here."""
    other = copy.copy(rig)
    other.expr_names = list(arkit.EXPR_NAMES)
    return other


def test_the_resting_pose_leaves_bridged_timesteps_out(params: RigParams) -> None:
    params = replace(params, valid=np.array([True, False, True, False, False, False]))
    rest = motion.resting(params)
    assert set(rest) == set(POSES)
    torch.testing.assert_close(rest["expr"], (params.expr[0] + params.expr[2]) / 2)


def test_the_resting_turn_is_a_mean_of_rotations(params: RigParams) -> None:
    turns = torch.zeros(6, 3)
    turns[::2, 1], turns[1::2, 1] = 0.5, -0.1
    rest = motion.resting(replace(params, rotation=turns))
    torch.testing.assert_close(rest["rotation"], torch.tensor([0.0, 0.2, 0.0]))


def test_what_is_not_given_rests(params: RigParams) -> None:
    expr = torch.rand(2, 4)
    moved = motion.moved(params, {"expr": expr}, np.array([0.0, 0.1]))
    assert len(moved) == 2
    torch.testing.assert_close(moved.expr, expr)
    torch.testing.assert_close(moved.translation[1], params.translation.mean(0))
    torch.testing.assert_close(moved.shape, params.shape)


def test_each_sequence_counts_its_own_timesteps(params: RigParams) -> None:
    moved = motion.moved(params, {}, np.zeros(5), np.array(["b", "b", "c", "c", "c"]))
    np.testing.assert_array_equal(moved.index, [0, 1, 0, 1, 2])


def test_named_expressions_of_a_rig_of_its_own(rig: HeadRig) -> None:
    poses = motion.named_poses(rig, {"browInnerUp": np.array([0.25, 1.0])}, 2)
    np.testing.assert_allclose(poses["expr"], [[0, 0, 0.25, 0], [0, 0, 1, 0]])
    assert not poses["jaw_pose"].any()
    assert motion.names_of(rig) == tuple(EXPR_NAMES)


def test_arkit_actions_turn_jaw_and_eyes(rig: HeadRig) -> None:
    poses = motion.named_poses(arkit_rig(rig), {"jawOpen": 0.5, "eyeLookOutLeft": 1.0}, 1)
    assert float(poses["jaw_pose"][0, 0]) == pytest.approx(0.5 * arkit.JAW_OPEN)
    assert float(poses["eyes_pose"][0, 1]) == pytest.approx(arkit.EYE_SIDE)
    assert not poses["expr"].any()


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({"smile": 1.0}, "'smile' is not an expression of rig toy"),
        ({"smileLeft": np.nan}, "finite"),
    ],
)
def test_unknown_names_and_nan_are_refused(rig: HeadRig, strengths: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        motion.named_poses(rig, strengths, 1)


def test_a_turn_of_the_head_comes_after_its_resting_pose() -> None:
    rest = {"neck_pose": torch.tensor([0.0, 0.3, 0.0])}
    about_x = axis_angle_to_matrix(torch.tensor([[0.2, 0.0, 0.0]]))
    neck = motion.turned_neck(rest, about_x)
    expected = axis_angle_to_matrix(rest["neck_pose"]) @ about_x[0]
    torch.testing.assert_close(axis_angle_to_matrix(neck)[0], expected)


def test_another_rate_is_linear_between_and_keeps_sequences_apart(params: RigParams) -> None:
    # Sequence a: 4 timesteps at 25/s, 0 to 0.12 s; b: 2 timesteps. At 50/s: 7 and 3.
    twice = motion.resampled(params, 50.0)
    np.testing.assert_array_equal(twice.sequence, ["a"] * 7 + ["b"] * 3)
    np.testing.assert_allclose(twice.time[:7], np.arange(7) / 50)
    torch.testing.assert_close(twice.expr[:7:2], params.expr[:4])
    torch.testing.assert_close(twice.expr[8], (params.expr[4] + params.expr[5]) / 2)
    assert motion.rate_of(twice) == pytest.approx(50)
    assert motion.rate_of(motion.moved(params, {}, np.zeros(1))) == 25


def test_all_timesteps_count_where_none_is_valid(params: RigParams) -> None:
    assert motion.counted(params).all()
    assert motion.counted(replace(params, valid=np.zeros(6, bool))).all()
    valid = np.array([True] + [False] * 5)
    np.testing.assert_array_equal(motion.counted(replace(params, valid=valid)), valid)
