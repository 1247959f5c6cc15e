"""Independent reader of the OBJ: the package `trimesh`."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from avatar.base.errors import UserError
from avatar.export.obj import save_objs
from avatar.rig import HeadRig
from tests.scenes import moving_params


@pytest.mark.parametrize("up", ["y", "z"])
def test_trimesh_reads_the_posed_triangles(rig: HeadRig, up: str, tmp_path: Path) -> None:
    params = moving_params(rig, 3)
    save_objs(tmp_path / "out", rig, params, range(3), up)
    for timestep in range(3):
        mesh = trimesh.load_mesh(tmp_path / f"out/{timestep:06d}.obj", process=False)
        verts = rig(**params.poses(torch.tensor([timestep])))[0].numpy()
        if up == "z":
            verts = verts[:, [0, 2, 1]] * [1, -1, 1]
        triangles = verts[rig.faces.numpy()]
        assert mesh.triangles.shape == triangles.shape
        assert np.abs(mesh.triangles - triangles).max() < 1e-6
        texture = mesh.visual.uv[mesh.faces]
        assert np.abs(texture - rig.uv.numpy()[rig.uv_faces.numpy()]).max() < 1e-6


def test_a_folder_that_holds_something_is_left_alone(rig: HeadRig, tmp_path: Path) -> None:
    (tmp_path / "mine.obj").touch()
    with pytest.raises(UserError, match="is not empty"):
        save_objs(tmp_path, rig, moving_params(rig, 1), range(1), "y")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.obj"]
