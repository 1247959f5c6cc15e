from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.rig import RigParams
from avatar.rig.controls import CONTROLS
from avatar.rig.params import ARRAYS
from tests.rigs import toy_rig
from tests.scenes import moving_params

Arrays = dict[str, np.ndarray]


@pytest.fixture
def params() -> RigParams:
    return moving_params(toy_rig(), 5)


@pytest.fixture
def arrays(params: RigParams, tmp_path: Path) -> Arrays:
    params.save(tmp_path / "params.npz")
    with np.load(tmp_path / "params.npz") as archive:
        return dict(archive)


def test_what_is_saved_is_loaded(params: RigParams, tmp_path: Path) -> None:
    params.save(tmp_path / "params.npz")
    again = RigParams.load(tmp_path / "params.npz")
    assert len(again) == 5
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(params, name))
    assert list(tmp_path.iterdir()) == [tmp_path / "params.npz"]


def test_a_file_without_neck_shift_and_soft_offset_has_none(arrays: Arrays, tmp_path: Path) -> None:
    del arrays["neck_shift"], arrays["soft_offset"]
    np.savez(tmp_path / "former.npz", **arrays)
    read = RigParams.load(tmp_path / "former.npz")
    torch.testing.assert_close(read.neck_shift, torch.zeros(5, 3))
    torch.testing.assert_close(read.soft_offset, torch.zeros(5, 3 * CONTROLS))
    torch.testing.assert_close(read.translation, torch.from_numpy(arrays["translation"]))


def test_poses_are_what_the_rig_takes(params: RigParams) -> None:
    poses = params.poses(torch.tensor([3, 1]))
    assert toy_rig()(**poses).shape == (2, toy_rig().num_verts, 3)
    torch.testing.assert_close(poses["expr"][1], params.expr[1])
    assert poses["shape"] is params.shape


def test_parameters_move_to_a_device(params: RigParams) -> None:
    moved = params.to("meta")
    assert {moved.expr.device.type, moved.shape.device.type} == {"meta"}
    assert params.expr.device.type == "cpu"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"expr": torch.zeros(5, 7)}, "expr has shape (5, 7), expected (5, 4)"),
        ({"shape": torch.tensor([0.0, np.nan, 0])}, "shape holds NaN or infinity"),
        ({"index": np.arange(4)}, "index has shape (4,), expected (5,)"),
    ],
)
def test_misfit_names_the_first_array_of_another_rig(
    change: dict, message: str | None, params: RigParams
) -> None:
    for name, value in change.items():
        setattr(params, name, value)
    assert params.misfit(toy_rig(), 5) == message


def no_timestep(arrays: Arrays) -> Arrays:
    steps = [name for name, spec in ARRAYS.items() if spec.shape[:1] == ("T",)]
    return arrays | {name: arrays[name][:0] for name in steps}


def replaced(name: str, value: np.ndarray) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {name: value}


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("expr"), "lacks expr"),
        (lambda arrays: {"x": np.zeros(3)}, "lacks shape, static_offset"),
        (replaced("expr", np.array([["a"] * 4] * 5)), "expr is <U1, expected numbers"),
        (replaced("expr", np.zeros((5, 4), complex)), "expr is not plain numbers"),
        (no_timestep, "it has no timestep"),
        (replaced("expr", np.zeros(5)), r"expr has shape \(5,\), expected \(T, E\)"),
        (replaced("rotation", np.zeros((4, 3))), r"rotation has shape \(4, 3\), expected \(5, 3\)"),
        (replaced("eyes_pose", np.zeros((5, 3))), "eyes_pose has shape"),
        (replaced("neck_shift", np.zeros((4, 3))), r"neck_shift has shape \(4, 3\), expected"),
        (replaced("static_offset", np.full((9, 3), np.inf)), "static_offset holds NaN or inf"),
        (replaced("time", np.full(5, np.nan)), "time holds NaN"),
        (replaced("sequence", np.arange(5)), "sequence is int64, expected text"),
        (replaced("index", np.arange(5.0)), "index is float64, expected integers"),
        (replaced("valid", np.ones(5)), "valid is float64"),
        (replaced("rig", np.array(["a", "b"])), "rig has shape"),
        (replaced("shape", np.array([None], object)), "plain numbers or text"),
    ],
)
def test_a_file_that_is_no_parameters_is_one_line(
    change: Callable[[Arrays], Arrays], message: str, arrays: Arrays, tmp_path: Path
) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **change(arrays))
    with pytest.raises(UserError, match=message) as caught:
        RigParams.load(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith(": run the stage that writes it again")


@pytest.mark.fault("M14")
def test_numbers_of_other_kinds_are_read(arrays: Arrays, tmp_path: Path) -> None:
    """Other programs save doubles, whole seconds, 0 and 1, and bytes."""
    other = {
        "expr": arrays["expr"].astype(np.float64),
        "time": np.arange(5),
        "valid": np.array([0, 1, 1, 0, 1], np.uint8),
        "sequence": arrays["sequence"].astype("S"),
    }
    np.savez(tmp_path / "other.npz", **(arrays | other))
    read = RigParams.load(tmp_path / "other.npz")
    assert read.valid.tolist() == [False, True, True, False, True]
    assert read.sequence.tolist() == arrays["sequence"].tolist()
    assert read.time.dtype == np.float64
    torch.testing.assert_close(read.expr, torch.from_numpy(arrays["expr"]))


@pytest.mark.parametrize("keep", [0, 100, -300], ids=str)
def test_a_damaged_file_is_one_line(keep: int, params: RigParams, tmp_path: Path) -> None:
    path = tmp_path / "params.npz"
    params.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"params\.npz is not an npz file .*: run the stage"):
        RigParams.load(path)


def test_an_absent_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.npz does not exist: run the stage"):
        RigParams.load(tmp_path / "none.npz")
