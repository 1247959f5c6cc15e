import pytest
import torch

from avatar.export.player.contents import player_block
from avatar.export.player.restore import restore
from avatar.gaussians.avatar_file import Avatar
from avatar.render import Views, render
from tests.players import full_avatar, full_rig
from tests.scenes import ring_of_cameras


def views(size: int) -> Views:
    cameras = ring_of_cameras(1, size)
    values = (torch.tensor(v, dtype=torch.float32) for v in (cameras.viewmats, cameras.Ks))
    return Views(*values, size, size)


@pytest.mark.parametrize("sh_degree", [0, 3])
def test_quantisation_is_not_seen(sh_degree: int) -> None:
    rig = full_rig()
    avatar = full_avatar(rig, sh_degree=sh_degree)
    other, other_rig = restore(player_block(avatar, rig, "anna"))
    worst = 0.0
    for timestep in range(0, 12, 3):
        images = [
            render(one.pose(its, timestep)[1], views(96), torch.ones(3)).rgb
            for one, its in ((avatar, rig), (other, other_rig))
        ]
        worst = max(worst, float((images[0] - images[1]).square().mean()))
    assert 0 < worst < 1e-4  # 40 dB


def test_the_mesh_moves_as_before() -> None:
    rig = full_rig()
    avatar = full_avatar(rig)
    other, other_rig = restore(player_block(avatar, rig, "anna"))
    for timestep in range(12):
        before, after = avatar.pose(rig, timestep)[0], other.pose(other_rig, timestep)[0]
        assert float((before - after).abs().max()) < 1e-5  # m


def test_an_avatar_without_a_basis_comes_back() -> None:
    rig = full_rig()
    avatar = full_avatar(rig, sh_degree=0)
    empty = torch.zeros(len(avatar.gaussians), 3, 0)
    avatar.gaussians.basis_means = avatar.gaussians.basis_colors = empty
    other, _ = restore(player_block(Avatar(avatar.gaussians, avatar.params, {}), rig, "anna"))
    assert other.space is None
    assert other.gaussians.basis_means.shape[1:] == (3, 0)
    assert other.gaussians.sh_degree == 0
