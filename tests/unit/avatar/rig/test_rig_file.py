import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.rig import HeadRig, rig_file
from tests.rigs import toy_rig
from tests.scenes import moving_params

Arrays = dict[str, np.ndarray]


@pytest.fixture
def arrays(tmp_path: Path) -> Arrays:
    """What the toy rig's file holds."""
    toy_rig().save(tmp_path / "toy.npz")
    return rig_file.read(tmp_path / "toy.npz")


def test_the_file_holds_what_the_layout_names(arrays: Arrays) -> None:
    required = {*rig_file.TENSORS, *rig_file.ABOUT, *rig_file.LANDMARKS}
    assert set(arrays) == required | {f"mask_{name}" for name in rig_file.MASKS}
    assert arrays["expr_names"].tolist() == toy_rig().expr_names


def test_the_hash_by_hand() -> None:
    """Names, kinds, shapes and bytes, in the order of names: one string for SHA-256."""
    one, two = np.array([1], np.uint8), np.array([[2]], np.uint8)
    first = rig_file.digest("toy", ["smile"], {"b": two, "a": one})
    whole = b"('toy', ['smile'])('a', '|u1', (1,))\1('b', '|u1', (1, 1))\2"
    assert first == hashlib.sha256(whole).hexdigest()
    assert first == rig_file.digest("toy", ["smile"], {"a": one, "b": two})
    assert first != rig_file.digest("toy", ["smile"], {"a": one, "c": two})
    assert first != rig_file.digest("toy", ["smile"], {"a": one, "b": two[0]})
    assert first != rig_file.digest("toy", ["smile"], {"a": one, "b": two.view(np.int8)})
    assert first != rig_file.digest("toys", ["mile"], {"a": one, "b": two})


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {name: change(arrays[name])}


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


def filled(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def fill(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.reshape(-1)[0] = value
        return array

    return fill


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("v_template"), "lacks v_template"),
        (without("expr_names"), "lacks expr_names"),
        (without("mask_neck"), "lacks mask_neck"),
        (lambda arrays: {k: v for k, v in arrays.items() if "landmark" not in k}, "landmark_ids"),
        (without("landmark_spread"), "lacks landmark_spread"),
        (changed("v_template", filled(np.nan)), "v_template holds NaN"),
        (changed("v_template", lambda a: a[0, 0]), r"v_template has shape \(\)"),
        (changed("v_template", lambda a: a.astype(str)), "v_template is <U"),
        (changed("shapedirs", lambda a: a[:-1]), "shapedirs has shape"),
        (changed("faces", lambda a: a.astype(np.float32)), "faces is float32, expected integers"),
        (changed("faces", filled(10**6)), r"faces are not all in 0\.\.293"),
        (changed("faces", filled(-1)), "faces are not all in"),
        (changed("uv_faces", filled(10**6)), "uv_faces are not all in"),
        (changed("parents", filled(4)), "parents are"),
        (changed("parents", lambda a: a[[0, 2, 1, 3, 4]] + 5), "parents are"),
        (changed("skin_weights", filled(3.0)), "skin_weights are not shares"),
        (changed("mask_neck", lambda a: a[:5]), "mask_neck has shape"),
        (changed("mask_neck", lambda a: a.astype(int)), "mask_neck is int64, expected true"),
        (changed("landmark_faces", filled(10**6)), "landmark_faces are not all in"),
        (changed("landmark_ids", filled(478)), r"landmark_ids are not all in 0\.\.477"),
        (changed("landmark_spread", filled(0)), "landmark_spread is not above 0"),
        (changed("landmark_response", lambda a: a[..., :-1]), "landmark_response has shape"),
        (changed("expr_names", lambda a: a[:-1]), "3 names for 4 expr"),
        (changed("name", lambda a: np.array([a, a])), "name has shape"),
    ],
)
def test_a_file_that_is_no_rig_is_one_line(
    change: Callable[[Arrays], Arrays], message: str, arrays: Arrays, tmp_path: Path
) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **change(arrays))
    with pytest.raises(UserError, match=message) as caught:
        HeadRig.load(path)
    assert str(caught.value).startswith(f"{path} is not a rig's npz file (")
    assert str(caught.value).endswith(f"): bake it again with 'snakemake {path}'")


@pytest.mark.fault("M14")
def test_arrays_and_masks_of_any_number_are_not_all_read(arrays: Arrays, tmp_path: Path) -> None:
    more = {f"mask_{k}": arrays["mask_neck"] for k in range(200)} | {"other": np.zeros(9)}
    np.savez(tmp_path / "more.npz", **arrays, **more)
    read = rig_file.read(tmp_path / "more.npz")
    assert "other" not in read
    assert sum(name.startswith("mask_") for name in read) == 64


def parameters(path: Path) -> None:
    moving_params(toy_rig(), 5).save(path)


@pytest.mark.fault("M14")
@pytest.mark.fault("4.3")
@pytest.mark.parametrize("write", [parameters, Path.touch])
def test_another_npz_is_one_line(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "odd.npz")
    with pytest.raises(UserError, match=r"odd\.npz is not a rig's npz file .*: bake it again"):
        HeadRig.load(tmp_path / "odd.npz")
