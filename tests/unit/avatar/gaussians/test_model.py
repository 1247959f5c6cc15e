import pytest
import torch

from avatar.gaussians.binding import face_frames
from avatar.gaussians.model import SH_C0, RiggedGaussians, color_to_sh
from avatar.rig.rotations import quat_to_matrix
from tests.rigs import toy_rig


def test_the_start_is_one_gaussian_per_face_as_the_method_says() -> None:
    gaussians = RiggedGaussians.on_faces(5, sh_degree=2)
    assert gaussians.binding.tolist() == [0, 1, 2, 3, 4]
    assert gaussians.means_local.abs().max() == 0
    assert gaussians.log_scales.abs().max() == 0
    assert gaussians.quats_local.tolist() == [[1, 0, 0, 0]] * 5
    assert gaussians.opacity_logits.sigmoid().tolist() == pytest.approx([0.1] * 5)
    assert gaussians.sh_dc.shape == (5, 1, 3)
    assert gaussians.sh_rest.shape == (5, 8, 3)
    assert gaussians.sh_degree == 2
    assert gaussians.basis_means.shape == (5, 3, 0)


def test_a_thin_start_is_thin_along_the_normal_of_its_face() -> None:
    rig = toy_rig()
    gaussians = RiggedGaussians.on_faces(len(rig.faces), scale=0.5, thickness=0.1)
    world = gaussians.activate(rig.v_template, rig.faces)
    frames = face_frames(rig.v_template, rig.faces)
    turned = quat_to_matrix(world.quats) * world.scales[:, None, :]
    normal = frames.rotation[..., 1]
    along = (turned.mT @ normal[..., None]).norm(dim=1).squeeze(-1)
    assert torch.allclose(along, 0.05 * frames.scale, rtol=1e-4)
    assert torch.allclose(world.scales.amax(1), 0.5 * frames.scale, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_activation_worked_by_hand(dtype: torch.dtype) -> None:
    verts = torch.tensor([[0.0, 0, 0], [2, 0, 0], [1, 3, 0]], dtype=dtype)
    gaussians = RiggedGaussians(
        means_local=torch.tensor([[0.0, 2, 0]], dtype=dtype),
        log_scales=torch.tensor([[0.0, 1, -1]], dtype=dtype),
        quats_local=torch.tensor([[1.0, 0, 0, 0]], dtype=dtype),
        opacity_logits=torch.zeros(1, dtype=dtype),
        sh_dc=color_to_sh(torch.tensor([[[1.0, 0.5, 0]]], dtype=dtype)),
        sh_rest=torch.zeros(1, 3, 3, dtype=dtype),
        basis_means=torch.zeros(1, 3, 0, dtype=dtype),
        basis_colors=torch.zeros(1, 3, 0, dtype=dtype),
        binding=torch.tensor([0]),
    )
    world = gaussians.activate(verts, torch.tensor([[0, 1, 2]]))
    # Face: k 2.5, centroid (1, 1, 0), normal z; see test_binding.
    assert world.means[0].tolist() == pytest.approx([1, 1, 5])
    assert world.scales[0].tolist() == pytest.approx([2.5, 2.5 * 2.7182818, 2.5 / 2.7182818])
    assert world.opacities.item() == 0.5
    assert (world.sh_coeffs[0, 0] * SH_C0 + 0.5).tolist() == pytest.approx([1, 0.5, 0])
    assert world.sh_degree == 1
    assert gaussians.activate(verts, torch.tensor([[0, 1, 2]]), sh_degree=0).sh_degree == 0


def test_a_batch_of_meshes_gives_a_batch_of_gaussians() -> None:
    rig = toy_rig()
    gaussians = RiggedGaussians.on_faces(len(rig.faces))
    verts = torch.stack([rig.v_template, rig.v_template + 1])
    world = gaussians.activate(verts, rig.faces)
    assert world.means.shape == (2, len(rig.faces), 3)
    torch.testing.assert_close(world.means[1], world.means[0] + 1)
    torch.testing.assert_close(world.means[0], rig.v_template[rig.faces].mean(1))
    assert world.opacities.shape == (len(rig.faces),)
