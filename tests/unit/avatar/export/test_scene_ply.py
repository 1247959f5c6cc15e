"""Independent reader of the PLY: the package `gsply`."""

from dataclasses import replace
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch

from avatar.export.scene_ply import COLUMNS, save_scene, table
from avatar.render import Views, WorldGaussians, render
from tests.gaussians import random_gaussians
from tests.rigs import toy_rig


def _scene(sh_degree: int = 3) -> WorldGaussians:
    rig = toy_rig()
    gaussians = random_gaussians(len(rig.faces), sh_degree, basis=0)
    return gaussians.activate(rig.v_template, rig.faces)


def _read(path: Path) -> WorldGaussians:
    data = gsply.plyread(path)
    tensors = {
        name: torch.tensor(np.ascontiguousarray(getattr(data, name)))
        for name in ("means", "quats", "scales", "opacities", "sh0", "shN")
    }
    return WorldGaussians(
        tensors["means"],
        tensors["quats"],
        tensors["scales"].exp(),
        tensors["opacities"].sigmoid(),
        torch.cat([tensors["sh0"][:, None], tensors["shN"]], 1),
        3,
    )


@pytest.mark.parametrize("sh_degree", [0, 1, 3])
def test_gsply_reads_what_was_written(sh_degree: int, tmp_path: Path) -> None:
    scene = _scene(sh_degree)
    save_scene(tmp_path / "scene.ply", scene)
    read = _read(tmp_path / "scene.ply")
    count = (sh_degree + 1) ** 2
    assert torch.equal(read.means, scene.means)
    assert torch.equal(read.sh_coeffs[:, :count], scene.sh_coeffs)
    assert (read.sh_coeffs[:, count:] == 0).all()
    torch.testing.assert_close(read.scales, scene.scales, rtol=1e-5, atol=0)
    torch.testing.assert_close(read.opacities, scene.opacities, rtol=0, atol=1e-6)
    unit = torch.nn.functional.normalize(scene.quats, dim=-1)
    torch.testing.assert_close(read.quats, unit, rtol=0, atol=1e-6)


def test_what_is_read_renders_as_the_avatar_does(tmp_path: Path) -> None:
    scene = _scene()
    save_scene(tmp_path / "scene.ply", scene)
    viewmat = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    viewmat[2, 3] = 0.5
    K = torch.tensor([[80.0, 0, 24], [0, 80, 24], [0, 0, 1]])
    views = Views(viewmat[None], K[None], 48, 48)
    images = [render(each, views).rgb for each in (scene, _read(tmp_path / "scene.ply"))]
    assert images[0].std() > 0.1
    assert (images[0] - images[1]).abs().max() < 1e-3


def test_coefficients_run_within_a_channel() -> None:
    scene = _scene(sh_degree=1)
    column = dict(zip(COLUMNS, table(scene).T, strict=True))
    assert len(column) == 62
    assert np.array_equal(column["f_rest_1"], scene.sh_coeffs[:, 2, 0])
    assert np.array_equal(column["f_rest_15"], scene.sh_coeffs[:, 1, 1])


def test_extreme_values_stay_finite() -> None:
    scene = _scene()
    opacities = torch.where(torch.arange(len(scene.opacities)) % 2 == 0, 0.0, 1.0)
    extreme = replace(scene, scales=torch.zeros_like(scene.scales), opacities=opacities)
    assert np.isfinite(table(extreme)).all()
