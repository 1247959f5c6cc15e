from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.export import ply
from avatar.export.ply import ply_columns, ply_table, save_ply
from avatar.gaussians.binding import face_frames
from avatar.rig.rotations import quat_multiply
from tests.gaussians import random_gaussians


def _read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    """An independent reader: names and the table."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    lines = [line for line in lines[2:] if not line.startswith("comment ")]
    rows = int(lines[0].removeprefix("element vertex "))
    names = [line.removeprefix("property float ") for line in lines[1:]]
    return names, np.frombuffer(body, "<f4").reshape(rows, len(names))


def test_the_ply_has_the_published_columns(tmp_path: Path) -> None:
    gaussians = random_gaussians(7)
    save_ply(tmp_path / "local_frame.ply", gaussians)
    names, table = _read_ply(tmp_path / "local_frame.ply")
    assert names == ply_columns()
    assert len(names) == 63
    assert names[6:10] == ["f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0"]
    assert names[-9:-1] == [
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]
    column = dict(zip(names, table.T, strict=True))
    assert np.array_equal(column["y"], gaussians.means_local[:, 1])
    assert np.array_equal(column["f_dc_2"], gaussians.sh_dc[:, 0, 2])
    # Coefficients within a channel: red's 15, then green's 15, ...
    assert np.array_equal(column["f_rest_1"], gaussians.sh_rest[:, 1, 0])
    assert np.array_equal(column["f_rest_15"], gaussians.sh_rest[:, 0, 1])
    assert (column["f_rest_3"] == 0).all()
    assert np.array_equal(column["opacity"], gaussians.opacity_logits)
    assert np.array_equal(column["scale_0"], gaussians.log_scales[:, 0])
    assert np.array_equal(column["rot_3"], gaussians.quats_local[:, 3])
    assert np.array_equal(column["binding_0"], gaussians.binding)


@pytest.mark.fault("L9")
def test_the_file_states_that_it_is_no_scene(tmp_path: Path) -> None:
    assert ply.NAME == "local_frame.ply"
    save_ply(tmp_path / ply.NAME, random_gaussians(3))
    header = (tmp_path / ply.NAME).read_bytes().split(b"end_header\n")[0].decode()
    comments = [line for line in header.splitlines() if line.startswith("comment ")]
    assert "not a scene for splat viewers" in comments[0]
    assert any("q_world = q_face q_local" in line for line in comments)


@pytest.mark.fault("4.4")
def test_rotations_are_the_papers_and_no_constant_gives_the_other_order() -> None:
    """`q' q_face = q_face q_local` asks for another q' in every pose; but for the identity."""
    half = 0.5**0.5
    about_x, about_z = torch.tensor([[half, half, 0, 0]]), torch.tensor([[half, 0, 0, half]])
    still = torch.tensor([[1.0, 0, 0, 0]])

    def needed(local: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        conjugate = face * torch.tensor([1.0, -1, -1, -1])
        return quat_multiply(quat_multiply(face, local), conjugate)

    # A quarter turn about z in a face that has turned about x by a quarter: about -y.
    assert torch.allclose(needed(about_z, still), about_z)
    assert torch.allclose(needed(about_z, about_x), torch.tensor([[half, 0, -half, 0]]))
    assert torch.allclose(needed(still, about_x), still)

    # The world's rotation from the file's columns, by hand, is that of the renderer.
    gaussians = random_gaussians(1)
    verts = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    faces = torch.tensor([[0, 1, 2]])
    rotation = torch.tensor(ply_table(gaussians)[:, -5:-1])
    composed = quat_multiply(face_frames(verts, faces).quat, rotation)
    assert torch.allclose(gaussians.activate(verts, faces).quats, composed, atol=1e-6)
