from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.export.files import load_gaussians, ply_columns, save_gaussians, save_ply
from tests.gaussians import random_gaussians


def _read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    """An independent reader: names and the table."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    rows = int(lines[2].removeprefix("element vertex "))
    names = [line.removeprefix("property float ") for line in lines[3:]]
    return names, np.frombuffer(body, "<f4").reshape(rows, len(names))


def test_safetensors_read_back(tmp_path: Path) -> None:
    gaussians = random_gaussians(7)
    save_gaussians(tmp_path / "avatar.safetensors", gaussians, {"preset": {"name": "quick"}})
    back, about, _ = load_gaussians(tmp_path / "avatar.safetensors")
    for name, value in gaussians.tensors().items():
        assert torch.equal(value, getattr(back, name)), name
    assert about["preset"]["name"] == "quick"
    assert about["schema_version"] == 2


def test_the_ply_has_the_published_columns(tmp_path: Path) -> None:
    gaussians = random_gaussians(7)
    save_ply(tmp_path / "point_cloud.ply", gaussians)
    names, table = _read_ply(tmp_path / "point_cloud.ply")
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


def test_bad_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "avatar.safetensors"
    with pytest.raises(UserError, match="train the subject first"):
        load_gaussians(path)
    path.write_bytes(b"not tensors")
    with pytest.raises(UserError, match="damaged"):
        load_gaussians(path)
    save_gaussians(path, random_gaussians(7), {"schema_version": 99})
    with pytest.raises(UserError, match="schema_version is 99, expected 2"):
        load_gaussians(path)
