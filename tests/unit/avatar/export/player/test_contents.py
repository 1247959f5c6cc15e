from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.export.player.block import unpack
from avatar.export.player.contents import player_block
from avatar.gaussians.avatar_file import Avatar
from avatar.rig import HeadRig
from avatar.rig.rotations import axis_angle_to_matrix
from tests.players import full_avatar, full_rig


@pytest.fixture(scope="module")
def rig() -> HeadRig:
    return full_rig()


@pytest.fixture(scope="module")
def avatar(rig: HeadRig) -> Avatar:
    return full_avatar(rig)


def test_the_rest_mesh_is_the_subject_s(rig: HeadRig, avatar: Avatar) -> None:
    _, arrays = unpack(player_block(avatar, rig, "anna"))
    params = avatar.params
    rest = rig.rest(params.shape, torch.zeros(rig.num_expr), params.static_offset)
    assert np.array_equal(arrays["rest"], rest.numpy())
    assert np.array_equal(arrays["joints"], rig.joints(params.shape).numpy())
    assert np.array_equal(arrays["faces"], rig.faces.numpy())


def test_the_header_names_what_the_page_shows(rig: HeadRig, avatar: Avatar) -> None:
    header, _ = unpack(player_block(avatar, rig, "anna"))
    assert header["subject"] == "anna"
    assert header["expressions"] == rig.expr_names
    assert header["sequences"] == [{"name": "a", "first": 0}, {"name": "b", "first": 4}]
    assert header["seconds_per_step"] == pytest.approx(1 / 25)
    assert header["actions"]["jawOpen"][:2] == ["jaw_pose", 0]


def test_gaussians_that_no_renderer_draws_are_left_out(rig: HeadRig, avatar: Avatar) -> None:
    logits = avatar.gaussians.opacity_logits.clone()
    logits[:10] = -9.0
    fainter = replace(avatar, gaussians=replace(avatar.gaussians, opacity_logits=logits))
    expected = int((logits.sigmoid() >= 1 / 255).sum())
    _, arrays = unpack(player_block(fainter, rig, "anna"))
    assert len(arrays["binding"]) == expected <= len(logits) - 10


def test_an_avatar_without_a_basis_has_no_space(rig: HeadRig, avatar: Avatar) -> None:
    empty = torch.zeros(len(avatar.gaussians), 3, 0)
    plain = replace(avatar.gaussians, basis_means=empty, basis_colors=empty)
    _, arrays = unpack(player_block(Avatar(plain, avatar.params, {}), rig, "anna"))
    assert not [name for name in arrays if "basis" in name or "space" in name]


def test_the_first_view_faces_a_head_that_was_recorded_lying(rig: HeadRig, avatar: Avatar) -> None:
    """The whole capture turned: the view turns with it, and shows the same."""
    params = avatar.params
    lying = torch.tensor([0.0, 0.0, 1.2])
    turn = axis_angle_to_matrix(lying)
    still = replace(
        params,
        rotation=lying.expand(len(params), 3),
        neck_pose=torch.zeros_like(params.neck_pose),
    )
    header, _ = unpack(player_block(replace(avatar, params=still), rig, "anna"))
    found = np.array(header["home"]["turn"]).reshape(3, 3) @ turn.numpy()
    assert np.allclose(found, np.diag([1, -1, -1]), atol=1e-5)


def test_the_first_view_looks_at_the_head_of_ordinary_pose(rig: HeadRig, avatar: Avatar) -> None:
    params = replace(avatar.params, neck_pose=torch.zeros_like(avatar.params.neck_pose))
    params.neck_pose[3, 1] = 1.0
    home = unpack(player_block(replace(avatar, params=params), rig, "anna"))[0]["home"]
    assert home["timestep"] != 3
    assert np.linalg.norm(home["target"]) < 0.05
    assert home["distance"] > 2 * rig.head_radius
