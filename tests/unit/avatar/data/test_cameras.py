import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras

CAMERA = {
    "width": 64,
    "height": 48,
    "K": [[80.0, 0, 31.5], [0, 81.0, 24.25], [0, 0, 1]],
    "viewmat": [[1.0, 0, 0, 0.1], [0, -1, 0, 0.2], [0, 0, -1, 0.9], [0, 0, 0, 1]],
}
GOOD = {"version": 1, "units": "m", "cameras": {"b": CAMERA, "a": CAMERA}}


def _load(tmp_path: Path, value: Any) -> Cameras:
    path = tmp_path / "cameras.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return Cameras.load(path)


def test_round_trip_in_lexicographic_order(tmp_path: Path) -> None:
    cameras = _load(tmp_path, GOOD)
    assert cameras.ids == ["a", "b"]
    cameras.save(tmp_path / "again.json")
    again = Cameras.load(tmp_path / "again.json")
    for name in ("Ks", "viewmats", "sizes", "distortion", "time_offsets"):
        np.testing.assert_array_equal(getattr(cameras, name), getattr(again, name))
    assert cameras.Ks[0, 1, 1] == 81.0
    assert cameras.sizes.tolist() == [[64, 48], [64, 48]]


def _change(**changes: Any) -> dict:
    value = copy.deepcopy(GOOD)
    value["cameras"]["a"] = CAMERA | changes
    return value


MIRRORED = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "not readable as JSON"),
        ([], "expected"),
        (GOOD | {"version": 2}, "version"),
        (GOOD | {"units": "mm"}, "units are 'mm'"),
        (GOOD | {"cameras": {}}, "names no camera"),
        (GOOD | {"cameras": {"a/b": CAMERA}}, "camera name 'a/b'"),
        (_change(K=[[80, 0, 0], [0, 80, 0]]), "camera 'a': K has shape"),
        (_change(K=[[-80, 0, 0], [0, 80, 0], [0, 0, 1]]), "pinhole"),
        (_change(viewmat=MIRRORED), "no rotation"),
        (_change(width=0), "above 0"),
        (_change(height=None), "size"),
        (_change(distortion=[0.1]), "distortion has shape"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _load(tmp_path, value)


SKEWED = [[80.0, 12.0, 31.5], [0, 81.0, 24.25], [0, 0, 1]]
TRANSPOSED = [[80.0, 0, 0], [0, 81.0, 0], [31.5, 24.25, 1]]
FAR = [[1.0, 0, 0, 1e300], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.fault("M4")
@pytest.mark.parametrize(
    ("K", "message"),
    [
        (SKEWED, "K has a skew of 12 pixels"),
        (np.array(SKEWED).T.tolist(), "K is no pinhole matrix"),
        ([[80.0, 0, 31.5], [12.0, 81.0, 24.25], [0, 0, 1]], "K has a skew of 12 pixels"),
        (TRANSPOSED, "K is no pinhole matrix"),
        ([[80.0, 0, 31.5], [0, -81.0, 24.25], [0, 0, 1]], "K is no pinhole matrix"),
        ([[80.0, 0, 31.5], [0, 81.0, 24.25], [0, 0, 2]], "K is no pinhole matrix"),
        ([[0.0, 0, 31.5], [0, 81.0, 24.25], [0, 0, 1]], "K is no pinhole matrix"),
    ],
)
def test_K_that_is_no_pinhole_is_refused(tmp_path: Path, K: list, message: str) -> None:
    with pytest.raises(UserError, match=f"camera 'a': {message}"):
        _load(tmp_path, _change(K=K))


@pytest.mark.fault("H4")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_model": "OPENCV_FISHEYE"}, "camera_model 'OPENCV_FISHEYE' is not supported"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model 'EQUIRECTANGULAR' is not supported"),
        ({"camera_model": 3}, "camera_model 3 is not supported"),
        ({"is_fisheye": True}, "unknown key 'is_fisheye'"),
        ({"k4": 0.1}, "unknown key 'k4'"),
        ({"k1": 0.1}, "unknown key 'k1'"),
        ({"dist": [0.1, 0, 0, 0, 0]}, "unknown key 'dist'"),
        ({"time_ofset": 0.1}, "unknown key 'time_ofset'"),
        ({"distortion": [0.1] * 8}, r"distortion has shape \(8,\), expected \(5,\)"),
        ({"distortion": [0.1] * 4}, r"distortion has shape \(4,\), expected \(5,\)"),
    ],
)
def test_another_lens_model_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"camera 'a': {message}"):
        _load(tmp_path, _change(**changes))


@pytest.mark.fault("H4")
def test_the_supported_lens_models_may_be_named(tmp_path: Path) -> None:
    for model in ("PINHOLE", "OPENCV"):
        assert _load(tmp_path, _change(camera_model=model)).ids == ["a", "b"]


@pytest.mark.fault("M16")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_change(width=60_000, height=10**19), "at most 65535"),
        (_change(width=10**400), "size is not numbers"),
        (_change(width=float("inf")), "size holds NaN or infinity"),
        (_change(viewmat=FAR), r"translation is 1e\+300 m"),
        (_change(viewmat=(1e300 * np.eye(4)).tolist()), "no rotation"),
    ],
)
def test_absurd_numbers_are_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _load(tmp_path, json.dumps(value))
