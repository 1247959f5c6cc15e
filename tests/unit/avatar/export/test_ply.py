from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.export import ply
from avatar.export.ply import ply_columns, ply_table, save_ply
from avatar.gaussians.binding import face_frames
from avatar.rig.rotations import axis_angle_to_matrix, quat_multiply, quat_to_matrix
from tests.gaussians import random_gaussians
from tests.rigs import toy_rig

HALF = 0.5**0.5
STILL = torch.tensor([[1.0, 0, 0, 0]])


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
    save_ply(tmp_path / "local_frame.ply", gaussians, STILL.expand(7, 4))
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
    save_ply(tmp_path / ply.NAME, random_gaussians(3), STILL.expand(3, 4))
    header = (tmp_path / ply.NAME).read_bytes().split(b"end_header\n")[0].decode()
    comments = [line for line in header.splitlines() if line.startswith("comment ")]
    assert "not a scene for splat viewers" in comments[0]
    assert any("q_world = rot q_face" in line for line in comments)


def _turned(local: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
    """The file's rotation of one Gaussian whose face has this rotation in the rest pose."""
    gaussians = random_gaussians(1)
    gaussians.quats_local = local
    return torch.tensor(ply_table(gaussians, face)[:, -5:-1])


@pytest.mark.fault("4.4")
def test_rotations_depend_on_the_face_by_hand() -> None:
    """A quarter turn about z, in a face that has turned about x by a quarter: about -y."""
    about_x, about_z = torch.tensor([[HALF, HALF, 0, 0]]), torch.tensor([[HALF, 0, 0, HALF]])
    assert torch.allclose(_turned(about_z, STILL), about_z)
    assert torch.allclose(_turned(about_z, about_x), torch.tensor([[HALF, 0, -HALF, 0]]))
    assert torch.allclose(_turned(STILL, about_x), STILL)


@pytest.mark.fault("4.4")
def test_their_order_gives_our_rotations_in_the_rest_pose_and_near_it() -> None:
    """Read as GaussianAvatars' code does, `rot q_face`, and compared as rotation matrices."""
    rig = toy_rig()
    gaussians = random_gaussians(len(rig.faces))
    rest = face_frames(rig.v_template, rig.faces).quat
    table = torch.tensor(ply_table(gaussians, rest))
    rotation, binding = table[:, -5:-1], table[:, -1].long()
    raw = gaussians.quats_local
    errors, unconverted = [], []
    for angle in (0.0, 0.1, 1.0):
        turn = axis_angle_to_matrix(torch.tensor([0.0, angle, 0.0]))
        posed = rig.v_template @ turn.T
        ours = quat_to_matrix(gaussians.activate(posed, rig.faces).quats)
        face = face_frames(posed, rig.faces).quat[binding]
        errors.append(float((quat_to_matrix(quat_multiply(rotation, face)) - ours).abs().mean()))
        unconverted.append(float((quat_to_matrix(quat_multiply(raw, face)) - ours).abs().mean()))
    assert errors[0] < 1e-6
    assert 0.01 < errors[1] < 0.1 < errors[2]
    assert min(unconverted) > 0.3
