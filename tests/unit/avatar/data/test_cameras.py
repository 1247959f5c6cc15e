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
