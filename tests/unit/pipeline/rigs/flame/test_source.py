"""A FLAME file is read as it is, or refused in one line."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.rigs.__main__ import main
from pipeline.rigs.flame import source
from tests import flames

ARRAYS = {
    name: np.zeros(shape, np.float32 if name != "f" else np.uint32)
    for name, shape in source.SHAPES_OF_ARRAYS.items()
}


def cheap(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays that pass every check, mostly zeros."""
    template, regressor = ARRAYS["v_template"].copy(), ARRAYS["J_regressor"].copy()
    template[:2, 0] = 0.03, -0.03
    regressor[[3, 4], [0, 1]] = 1
    weights = ARRAYS["weights"].copy()
    weights[:, 0] = 1
    parents = np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32)
    good = {"v_template": template, "J_regressor": regressor, "weights": weights}
    return {**ARRAYS, **good, "kintree_table": parents, **changed}


def test_pickle_and_npz_hold_the_same(tmp_path: Path):
    arrays = flames.flame_arrays()
    one = source.load(flames.save_pickle(tmp_path / "flame.pkl"))
    other = source.load(flames.save_npz(tmp_path / "flame.npz"))
    for flame in (one, other):
        np.testing.assert_array_equal(flame.v_template, arrays["v_template"])
        np.testing.assert_array_equal(flame.faces, arrays["f"])
        np.testing.assert_array_equal(flame.exprdirs, arrays["shapedirs"][:, :, 300:])
        np.testing.assert_array_equal(flame.joint_regressor, arrays["J_regressor"])
    assert one.sha256 != other.sha256
    assert len(one.sha256) == 64


def test_the_cheap_arrays_pass(tmp_path: Path):
    np.savez(tmp_path / "flame.npz", **cheap())
    assert source.load(tmp_path / "flame.npz").faces.dtype == np.int64


BAD = {
    "v_template is float32 (5022, 3), expected": {"v_template": ARRAYS["v_template"][1:]},
    "f is float32": {"f": ARRAYS["f"].astype(np.float32)[:-1]},
    "not finite": {"weights": np.full((5023, 5), np.nan)},
    "joints' parents": {"kintree_table": np.array([[0, 0, 1, 1, 2], range(5)])},
    "outside 0..5022": {"f": np.full((9976, 3), 5023)},
    "no shares": {"weights": np.zeros((5023, 5))},
    "the left eye lies 60 beside": {"v_template": cheap()["v_template"] * 1000},
    "the left eye lies -0.06 beside": {"v_template": -cheap()["v_template"]},
    "shapedirs is float32 (5023, 3, 100)": {"shapedirs": ARRAYS["shapedirs"][:, :, :100]},
    "not an npz file of plain arrays": {"f": np.array([{}], object)},
}


@pytest.mark.parametrize("message", BAD)
def test_a_wrong_array_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], message: str
):
    path = tmp_path / "flame.npz"
    np.savez(path, **cheap(**BAD[message]))
    out = tmp_path / "rig.npz"
    assert main(["--name", "flame", "--flame", str(path), "--out", str(out)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert str(path) in lines[0]
    assert not out.exists()


@pytest.mark.fault("L7")
def test_a_named_pipe_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nobody writes into it: opening it would wait for ever."""
    path, out = tmp_path / "flame.pkl", tmp_path / "rig.npz"
    os.mkfifo(path)
    assert main(["--name", "flame", "--flame", str(path), "--out", str(out)]) == 2
    assert "flame.pkl cannot be read (it is not a plain file)" in capsys.readouterr().err


def test_other_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, out = tmp_path / "flame.npz", tmp_path / "rig.npz"
    np.savez(path, **cheap())
    truncated = path.read_bytes()[:5000]
    np.savez(path, v_template=ARRAYS["v_template"])
    lacking = path.read_bytes()
    for content, message in (
        (truncated, "not an npz file of plain arrays"),
        (lacking, "no FLAME file: it lacks f, shapedirs"),
        (b"v 0 0 0\n", "no pickle, or a damaged one"),
        (None, "cannot be read (No such file or directory): `flame:`"),
    ):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        assert main(["--name", "flame", "--flame", str(path), "--out", str(out)]) == 2
        assert message in capsys.readouterr().err
    assert main(["--name", "flame", "--out", str(out)]) == 2
    assert "give its path as `flame:`" in capsys.readouterr().err
