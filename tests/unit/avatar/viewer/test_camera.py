"""viser's cameras as ours."""

import math

import numpy as np
import pytest
import torch

from avatar.animate.loaded import HeadAvatar
from avatar.rig.rotations import axis_angle_to_matrix
from avatar.viewer import camera
from tests.players import full_avatar, full_rig
from tests.viewers import front_eye


@pytest.fixture(scope="module")
def shown() -> HeadAvatar:
    rig = full_rig()
    return HeadAvatar(rig, full_avatar(rig))


def test_a_page_begins_with_the_front_camera(shown: HeadAvatar) -> None:
    expected = shown.front((80, 60))
    found = camera.views(front_eye(shown, (80, 60)), 10_000)
    assert (found.width, found.height) == (80, 60)
    torch.testing.assert_close(found.viewmats[0], expected.viewmats[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.Ks[0], expected.Ks[0], atol=1e-3, rtol=0)


def test_up_and_centre_belong_to_the_head(shown: HeadAvatar) -> None:
    start = camera.start(shown)
    viewmat = shown.front((64, 64)).viewmats[0, 0].numpy()
    seen = viewmat[:3, :3] @ start.look_at + viewmat[:3, 3]
    np.testing.assert_allclose(seen[:2], 0, atol=1e-5)
    assert seen[2] > 0
    np.testing.assert_allclose(viewmat[:3, :3] @ start.up, [0, -1, 0], atol=1e-5)
    np.testing.assert_allclose(viewmat[:3, :3] @ start.position + viewmat[:3, 3], 0, atol=1e-5)


def test_a_smaller_picture_shows_the_same(shown: HeadAvatar) -> None:
    eye = front_eye(shown, (800, 600))
    whole, small = camera.views(eye, 800 * 600), camera.views(eye, 120_000)
    assert (small.width, small.height) == (400, 300)
    torch.testing.assert_close(small.Ks[0, 0, :2], whole.Ks[0, 0, :2] / 2)
    assert torch.equal(small.viewmats, whole.viewmats)


def test_axes_are_those_of_opencv() -> None:
    # A camera at z = 5 that looks along -z with y up: its x is the world's, its y and z are not.
    turn = axis_angle_to_matrix(torch.tensor([torch.pi, 0, 0]))
    eye = camera.Eye((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 5.0), 0.5, (10, 10))
    views = camera.views(eye, 100)
    torch.testing.assert_close(views.viewmats[0, 0, :3, :3], turn, atol=1e-6, rtol=0)
    seen = views.viewmats[0, 0] @ torch.tensor([1.0, 2.0, 1.0, 1.0])
    torch.testing.assert_close(seen[:3], torch.tensor([1.0, -2.0, 4.0]))


def test_the_shorter_side_has_the_field_of_view() -> None:
    assert camera.field(0.5, (800, 600)) == pytest.approx(0.5)
    tall = camera.field(0.5, (300, 600))
    assert math.tan(tall / 2) == pytest.approx(2 * math.tan(0.25))
