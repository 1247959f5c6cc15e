"""The pose that the controls mean."""

import math
from dataclasses import replace

import pytest
import torch

from avatar.animate.loaded import HeadAvatar
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix
from avatar.viewer.controls import JOINTS, Controls, posed
from tests.players import full_avatar, full_rig


@pytest.fixture
def shown() -> HeadAvatar:
    rig = full_rig()
    return HeadAvatar(rig, full_avatar(rig))


def test_without_sliders_it_is_the_recording(shown: HeadAvatar) -> None:
    pose = posed(shown, Controls(timestep=5))
    for name in POSES:
        torch.testing.assert_close(
            getattr(pose, name)[0], getattr(shown.recorded, name)[5], atol=1e-6, rtol=0
        )


def test_without_a_recording_it_is_at_rest(shown: HeadAvatar) -> None:
    pose, rest = posed(shown, Controls()), shown.pose()
    for name in POSES:
        torch.testing.assert_close(getattr(pose, name), getattr(rest, name), atol=1e-6, rtol=0)


def test_sliders_add_to_the_recording(shown: HeadAvatar) -> None:
    joints = (("jaw open", 10.0), ("gaze left", 6.0), ("turn left", 20.0))
    name = shown.rig.expr_names[1]
    pose = posed(shown, Controls(3, joints, ((name, 0.25),)))
    before = {key: getattr(shown.recorded, key)[3] for key in POSES}
    jaw = before["jaw_pose"] + torch.tensor([math.radians(10), 0, 0])
    torch.testing.assert_close(pose.jaw_pose[0], jaw)
    gaze = before["eyes_pose"] + math.radians(6) * torch.tensor([0, 1, 0, 0, 1, 0])
    torch.testing.assert_close(pose.eyes_pose[0], gaze)
    expected = before["expr"].clone()
    expected[1] += 0.25
    torch.testing.assert_close(pose.expr[0], expected)
    first, second = (axis_angle_to_matrix(v) for v in (before["neck_pose"], pose.neck_pose[0]))
    turn = axis_angle_to_matrix(torch.tensor([0, math.radians(20), 0]))
    torch.testing.assert_close(second, first @ turn, atol=1e-5, rtol=0)


def test_an_action_goes_no_further_than_its_full_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = full_rig(actions=True)
    shown = HeadAvatar(rig, full_avatar(rig))
    monkeypatch.setattr("avatar.animate.motion.is_arkit", lambda rig: rig is shown.rig)
    expr = shown.recorded.expr.clone()
    expr[0] = torch.tensor([0.7, 1.5, 0.0, 0.0])
    shown = replace(shown, avatar=replace(shown.avatar, params=replace(shown.recorded, expr=expr)))
    names = shown.rig.expr_names[:3]
    pose = posed(shown, Controls(0, (), tuple((name, 0.9) for name in names)))
    torch.testing.assert_close(pose.expr[0], torch.tensor([1.0, 1.5, 0.9, 0.0]))


def test_every_joint_moves_the_mesh(shown: HeadAvatar) -> None:
    rest = shown.rig(**posed(shown, Controls()).poses(torch.tensor([0])))
    for name, (_, _, _, high) in JOINTS.items():
        pose = posed(shown, Controls(joints=((name, float(high)),)))
        assert (shown.rig(**pose.poses(torch.tensor([0]))) - rest).abs().max() > 1e-4, name
