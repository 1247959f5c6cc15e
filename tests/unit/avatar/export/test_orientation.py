"""A turned scene seen by a camera that was turned with it shows the same picture."""

import pytest
import torch

from avatar.export.orientation import TURNS, rotation_to, sh_rotation, turned
from avatar.render import Views, WorldGaussians, render
from avatar.render.reference import sh_basis
from tests.gaussians import random_gaussians
from tests.rigs import toy_rig

UP = {"y": (0.0, 1, 0), "z": (0.0, 0, 1), "-y": (0.0, -1, 0)}


def _scene(sh_degree: int) -> WorldGaussians:
    rig = toy_rig()
    gaussians = random_gaussians(len(rig.faces), sh_degree, basis=0)
    gaussians.sh_rest *= 0.3
    return gaussians.activate(rig.v_template, rig.faces)


@pytest.mark.parametrize("up", TURNS)
def test_y_becomes_the_named_axis_by_a_rotation(up: str) -> None:
    rotation = rotation_to(up)
    assert (rotation @ torch.tensor([0.0, 1, 0])).tolist() == list(UP[up])
    assert torch.equal(rotation @ rotation.mT, torch.eye(3))
    assert torch.linalg.det(rotation) == 1


@pytest.mark.parametrize("up", TURNS)
def test_harmonics_turn_by_hand(up: str) -> None:
    """Degree 1 is linear in the direction: it turns like a vector."""
    rotation, coeffs = rotation_to(up), torch.tensor([0.7, 0.2, -0.5, 0.4])
    vector = torch.tensor([-coeffs[3], -coeffs[1], coeffs[2]])  # the basis is (-y, z, -x)
    x, y, z = (rotation @ vector).tolist()
    expected = torch.tensor([0.7, -y, z, -x])
    assert torch.allclose(sh_rotation(rotation, 1) @ coeffs, expected, atol=1e-6)


def test_harmonics_of_degree_3_have_the_same_values_in_turned_directions() -> None:
    generator = torch.Generator().manual_seed(4)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=-1)
    coeffs = torch.randn(16, 3, generator=generator)
    for up in TURNS:
        rotation = rotation_to(up)
        seen = sh_basis(directions @ rotation.mT, 3) @ (sh_rotation(rotation, 3) @ coeffs)
        assert torch.allclose(seen, sh_basis(directions, 3) @ coeffs, atol=1e-5)


@pytest.mark.parametrize("up", TURNS)
def test_a_turned_scene_looks_the_same(up: str) -> None:
    scene = _scene(sh_degree=2)
    viewmat = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    viewmat[:3, 3] = torch.tensor([0.02, 0.01, 0.5])
    K = torch.tensor([[80.0, 0, 24], [0, 80, 24], [0, 0, 1]])
    other = viewmat.clone()
    other[:3, :3] = viewmat[:3, :3] @ rotation_to(up).mT
    images = [
        render(gaussians, Views(camera[None], K[None], 48, 48)).rgb
        for gaussians, camera in ((scene, viewmat), (turned(scene, up), other))
    ]
    assert images[0].std() > 0.1
    assert (images[0] - images[1]).abs().max() < 1e-4
