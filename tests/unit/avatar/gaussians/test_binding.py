"""Face frames and what they carry: worked by hand and by axioms."""

import math

import pytest
import torch

from avatar.gaussians.binding import carry_to_world, face_frames, to_world
from avatar.rig.rotations import axis_angle_to_matrix, quat_to_matrix
from tests.rigs import toy_rig

TRIANGLE = torch.tensor([[0.0, 0, 0], [2, 0, 0], [1, 3, 0]], dtype=torch.float64)
FACE = torch.tensor([[0, 1, 2]])


def _scene(n: int = 40, dtype: torch.dtype = torch.float64):
    torch.manual_seed(0)
    rig = toy_rig(dtype)
    verts = rig.v_template + 0.002 * torch.randn(2, rig.num_verts, 3, dtype=dtype)
    binding = torch.randint(0, len(rig.faces), (n,))
    local = [torch.randn(n, width, dtype=dtype) for width in (3, 3, 4)]
    return verts, rig.faces, binding, *local


def test_frame_of_a_triangle_worked_by_hand() -> None:
    frames = face_frames(TRIANGLE, FACE)
    # First edge along x, normal along z, third axis -(z x x) = -y; k = (2 + 3) / 2.
    expected = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(frames.rotation[0], expected)
    torch.testing.assert_close(frames.origin[0], torch.tensor([1.0, 1, 0]).double())
    assert frames.scale.item() == pytest.approx(2.5)
    torch.testing.assert_close(quat_to_matrix(frames.quat[0]), expected)


def test_to_world_worked_by_hand() -> None:
    local = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    world = to_world(local, torch.zeros(3, dtype=torch.int64), face_frames(TRIANGLE, FACE))
    expected = torch.tensor([[3.5, 1, 0], [1, 1, 2.5], [1, -1.5, 0]], dtype=torch.float64)
    torch.testing.assert_close(world, expected)


def test_a_rigid_motion_of_the_mesh_is_one_of_the_gaussians() -> None:
    verts, faces, *gaussians = _scene()
    turn = axis_angle_to_matrix(torch.tensor([0.3, -1.1, 0.7], dtype=torch.float64))
    shift = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    means, quats, scales = carry_to_world(verts, faces, *gaussians)
    moved = carry_to_world(verts @ turn.T + shift, faces, *gaussians)
    torch.testing.assert_close(moved[0], means @ turn.T + shift)
    torch.testing.assert_close(quat_to_matrix(moved[1]), turn @ quat_to_matrix(quats))
    torch.testing.assert_close(moved[2], scales)


def test_scaling_the_mesh_scales_means_and_sizes() -> None:
    verts, faces, *gaussians = _scene()
    means, quats, scales = carry_to_world(verts, faces, *gaussians)
    larger = carry_to_world(3 * verts, faces, *gaussians)
    torch.testing.assert_close(larger[0], 3 * means)
    torch.testing.assert_close(larger[1], quats)
    torch.testing.assert_close(larger[2], 3 * scales)


def test_the_order_of_faces_and_gaussians_does_not_matter() -> None:
    verts, faces, binding, *local = _scene()
    renumbered = torch.randperm(len(faces))
    order = torch.randperm(len(binding))
    place_of = torch.empty_like(renumbered)
    place_of[renumbered] = torch.arange(len(faces))
    plain = carry_to_world(verts, faces, binding, *local)
    mixed = carry_to_world(
        verts, faces[renumbered], place_of[binding][order], *(x[order] for x in local)
    )
    for a, b in zip(plain, mixed, strict=True):
        torch.testing.assert_close(a[:, order], b)


def test_gradients_of_the_frames() -> None:
    verts, faces, binding, *local = _scene(n=5)
    few = faces[:4]
    used, compact = few.unique(return_inverse=True)
    corners = verts[:, used].requires_grad_()
    local = [x.requires_grad_() for x in local]
    assert torch.autograd.gradcheck(
        lambda v, *rest: carry_to_world(v, compact, binding % 4, *rest), (corners, *local)
    )


def test_a_collapsed_face_gives_finite_numbers() -> None:
    verts = torch.zeros(3, 3, requires_grad=True)
    local = [torch.ones(1, width, requires_grad=True) for width in (3, 3, 4)]
    world = carry_to_world(verts, FACE, torch.tensor([0]), *local)
    assert all(x.isfinite().all() for x in world)
    assert world[2].max() < 1e-6
    (world[0].sum() + world[2].sum()).backward()
    assert verts.grad is not None
    assert math.isfinite(float(verts.grad.sum()))
