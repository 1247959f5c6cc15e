"""Transfer: an avatar driven by itself stays itself; another's face and size do not pass over."""

import copy
from dataclasses import replace

import pytest
import torch

from avatar.animate import motion, transfer
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from tests.scenes import moving_params


@pytest.fixture
def own(rig: HeadRig) -> RigParams:
    params = moving_params(rig, 6)
    return replace(params, expr=params.expr.abs().clamp(0, 1))


def test_the_own_track_is_the_own_motion(own: RigParams) -> None:
    again = transfer.own_motion(own, own)
    for name in POSES:
        torch.testing.assert_close(getattr(again, name), getattr(own, name), atol=1e-5, rtol=0)


def test_the_same_motion_in_another_world_is_the_same(own: RigParams, rig: HeadRig) -> None:
    turn = axis_angle_to_matrix(torch.tensor([0.3, 2.0, -0.5]))
    elsewhere = replace(
        own,
        rotation=matrix_to_axis_angle(turn @ axis_angle_to_matrix(own.rotation)),
        translation=own.translation @ turn.T + torch.tensor([1.0, 2.0, 3.0]),
    )
    again = transfer.own_motion(own, elsewhere)
    steps = torch.arange(6)
    torch.testing.assert_close(
        rig(**again.poses(steps)), rig(**own.poses(steps)), atol=1e-5, rtol=0
    )
    # Of another person's track neither the world nor the torso's turn counts.
    one, other = (transfer.transferred(own, p, rig) for p in (own, elsewhere))
    torch.testing.assert_close(
        rig(**one.poses(steps)), rig(**other.poses(steps)), atol=1e-5, rtol=0
    )


def test_the_neutral_face_is_exchanged(own: RigParams, rig: HeadRig) -> None:
    low = replace(own, expr=own.expr * 0.1 + 0.3)
    driver = replace(low, expr=low.expr + 0.2, jaw_pose=low.jaw_pose + 0.1)
    driven = transfer.transferred(low, driver, rig)
    torch.testing.assert_close(driven.expr, low.expr)
    torch.testing.assert_close(driven.jaw_pose, low.jaw_pose)
    torch.testing.assert_close(driven.shape, own.shape)
    for name in ("rotation", "neck_shift"):  # the torso rests
        rest = motion.resting(own)[name]
        torch.testing.assert_close(getattr(driven, name), rest.expand(6, 3))


def test_the_neutral_face_is_what_actions_come_down_to(own: RigParams, rig: HeadRig) -> None:
    expr = torch.zeros(40, rig.num_expr)
    expr[:, 0], expr[::2, 0] = 0.1, 0.7  # as often strong as at rest
    jaw = torch.zeros(40, 3)
    jaw[:, 0], jaw[5:, 0], jaw[5:, 1] = -0.02, 0.3, 0.4
    many = moving_params(rig, 40)
    many = replace(many, expr=expr, jaw_pose=jaw)
    face = transfer.neutral_face(many, rig)
    torch.testing.assert_close(face["expr"], torch.tensor([0.1, 0, 0, 0]))
    torch.testing.assert_close(face["jaw_pose"], torch.tensor([-0.02, 0.35, 0]))
    torch.testing.assert_close(face["eyes_pose"], many.eyes_pose.mean(0))


def test_a_blink_closes_the_lids(own: RigParams, rig: HeadRig) -> None:
    rig = copy.copy(rig)
    rig.expr_names = ["eyeBlinkLeft", *rig.expr_names[1:]]
    blinks = torch.zeros(100, rig.num_expr)
    blinks[40:45] = torch.tensor([0.8, 0.8, 0.2, 0.2])
    blinks[70] = 0.9  # a single timestep is an error
    mine = replace(moving_params(rig, 100), expr=0.1 + blinks)
    driver = replace(moving_params(rig, 100), expr=blinks / 2 + 0.05)
    driven = transfer.transferred(mine, driver, rig)
    # From 0.1 to 0.9 as on the avatar; other actions are as strong as the driver's.
    torch.testing.assert_close(driven.expr[[0, 42]][:, 0], torch.tensor([0.1, 0.9]))
    torch.testing.assert_close(driven.expr[[0, 42]][:, 1], torch.tensor([0.1, 0.5]))
    # No blink on one side: nothing tells what closes the lids.
    driver = replace(driver, expr=blinks / 4)
    driven = transfer.transferred(mine, driver, rig)
    torch.testing.assert_close(driven.expr[42, 0], torch.tensor(0.3))
    driver = replace(driver, expr=blinks * 0.4)
    driven = transfer.transferred(replace(mine, expr=blinks * 1.2), driver, rig)
    torch.testing.assert_close(driven.expr[42, 0], torch.tensor(0.64))  # twice, not three times


def test_actions_stay_in_their_range_and_the_jaw_is_not_pressed(
    own: RigParams, rig: HeadRig
) -> None:
    driver = replace(own, expr=own.expr * 3, jaw_pose=own.jaw_pose * 3)
    driven = transfer.transferred(own, driver, rig)
    assert 0 <= float(driven.expr.min()) <= float(driven.expr.max()) <= 1
    assert float(driven.jaw_pose[:, 0].min()) >= float(own.jaw_pose[:, 0].min())


def test_a_head_of_twice_the_size_moves_half_as_far(own: RigParams, rig: HeadRig) -> None:
    # 20 times 5 % of itself along each axis: twice the size.
    large = replace(own, shape=torch.full((3,), 20.0), translation=2 * own.translation)
    assert transfer.head_size(large, rig) == pytest.approx(2 * transfer.head_size(own, rig))
    still = {"rotation": torch.zeros(6, 3), "neck_pose": torch.zeros(6, 3)}
    own = replace(own, **still, neck_shift=torch.zeros(6, 3))
    large = replace(large, **still, neck_shift=torch.zeros(6, 3))
    driven = transfer.transferred(own, large, rig)
    torch.testing.assert_close(driven.translation, own.translation, atol=1e-6, rtol=0)


def test_the_head_turns_from_its_own_mean(own: RigParams, rig: HeadRig) -> None:
    still = torch.zeros(6, 3)
    turns = still.clone()
    turns[::2, 1], turns[1::2, 1] = 0.5, 0.1  # mean 0.3
    driver = replace(own, rotation=turns, neck_pose=still)
    own = replace(own, rotation=still, neck_pose=torch.tensor([0.2, 0.0, 0.0]).expand(6, 3))
    driven = transfer.transferred(own, driver, rig)
    about_y = axis_angle_to_matrix(torch.tensor([[0.0, 0.2, 0.0], [0.0, -0.2, 0.0]]))
    expected = axis_angle_to_matrix(own.neck_pose[:2]) @ about_y
    torch.testing.assert_close(axis_angle_to_matrix(driven.neck_pose[:2]), expected)


def test_the_neck_is_where_the_rig_has_it(own: RigParams, rig: HeadRig) -> None:
    driver = replace(own, rotation=torch.zeros(6, 3))
    places = transfer.neck_places(driver, rig)
    expected = rig.joints(own.shape)[1] + own.translation + own.neck_shift
    torch.testing.assert_close(places, expected)


def test_another_size_in_the_same_image(own: RigParams, rig: HeadRig) -> None:
    still = {"neck_shift": torch.zeros(6, 3), "neck_pose": torch.zeros(6, 3)}
    small = replace(own, **still, expr=torch.zeros(6, rig.num_expr))
    far = torch.tensor([0.0, 0.0, -0.8])
    large = replace(small, shape=torch.full((3,), 20.0), translation=2 * small.translation + far)
    eye = torch.tensor([0.1, 0.0, 1.0])
    driven = transfer.with_identity(small, large, rig, eye)
    assert torch.equal(driven.shape, small.shape)
    # Half as large and half as far: the same directions from the camera.
    steps = torch.arange(6)
    soft = torch.zeros_like(own.soft_offset)
    seen = [rig(**replace(p, soft_offset=soft).poses(steps)) - eye for p in (large, driven)]
    torch.testing.assert_close(seen[1], seen[0] / 2, atol=1e-5, rtol=0)
