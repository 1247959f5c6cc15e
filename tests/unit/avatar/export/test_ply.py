from pathlib import Path

import numpy as np

from avatar.export.ply import ply_columns, save_ply
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
