"""Cameras: the head is in the middle, upright, seen from the side that is asked for."""

from dataclasses import replace

import pytest
import torch

from avatar.animate import views
from avatar.animate.motion import moved, resting
from avatar.rig import HeadRig, RigParams
from tests.rigs import HEAD_RADII
from tests.scenes import moving_params


@pytest.fixture
def still(rig: HeadRig) -> RigParams:
    """Parameters whose mean pose is the unposed rig, turned half around and away from zero."""
    params = moving_params(rig, 6)
    zero = {name: torch.zeros_like(value) for name, value in resting(params).items()}
    zero["rotation"] = torch.tensor([0.0, 3.0, 0.0])
    zero["translation"] = torch.tensor([1.0, 2.0, 3.0])
    return replace(params, **{n: v.expand(6, -1).clone() for n, v in zero.items()})


def seen(rig: HeadRig, params: RigParams, camera: views.Views, point: tuple) -> torch.Tensor:
    """Pixel of a point of the unposed rig, which turns and moves with the root."""
    from avatar.rig.rotations import axis_angle_to_matrix

    turn = axis_angle_to_matrix(params.rotation[0])
    world = turn @ torch.tensor(point) + params.translation[0]
    viewmat = camera.viewmats[0, 0]
    x, y, z = camera.Ks[0, 0] @ (viewmat[:3, :3] @ world + viewmat[:3, 3])
    assert z > 0
    return torch.stack([x / z, y / z])


def test_the_face_is_upright_and_in_the_middle(rig: HeadRig, still: RigParams) -> None:
    camera = views.front(rig, still, 200, 100)
    assert (camera.width, camera.height) == (200, 100)
    nose = seen(rig, still, camera, (0.0, 0.0, HEAD_RADII[2]))
    assert float(nose[0]) == pytest.approx(100, abs=1)
    assert 35 < float(nose[1]) < 60
    assert seen(rig, still, camera, (0.0, 0.05, 0.09))[1] < nose[1]
    assert seen(rig, still, camera, (0.05, 0.0, 0.09))[0] > nose[0]


def test_cameras_are_rigid_and_as_far_as_they_should_be(rig: HeadRig, still: RigParams) -> None:
    camera = views.orbit(rig, still, 64, 64, torch.linspace(0, 6, 7))
    turns = camera.viewmats[:, 0, :3, :3]
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(7, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(7))
    nose = seen(rig, still, camera, (0.0, 0.0, 0.0))
    assert float((nose - 32).norm()) < 6


def test_the_orbit_swings_to_either_side(rig: HeadRig, still: RigParams) -> None:
    times = torch.tensor([views.PERIOD / 4, 3 * views.PERIOD / 4, 0.0])
    camera = views.orbit(rig, still, 64, 64, times)
    front = views.front(rig, still, 64, 64)
    torch.testing.assert_close(camera.viewmats[2], front.viewmats[0])
    # From the subject's left, the nose points to the left of the image.
    first = camera._replace(viewmats=camera.viewmats[:1], Ks=camera.Ks[:1])
    assert seen(rig, still, first, (0.0, 0.0, 0.09))[0] < 32


def test_the_camera_does_not_depend_on_one_timestep(rig: HeadRig) -> None:
    params = moving_params(rig, 6)
    same = moved(params, {}, torch.zeros(3).numpy())
    one, other = (views.front(rig, p, 64, 64) for p in (params, same))
    torch.testing.assert_close(one.viewmats, other.viewmats, atol=1e-5, rtol=1e-5)
