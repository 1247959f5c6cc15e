from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.capture.calibration.transforms import camera_of, entry_of, pose, same_optics

FRAME = {"w": 640, "h": 480, "fl_x": 500.0}
HERE = Path("t.json")


def test_cameras_are_named_by_their_index_or_their_image() -> None:
    assert camera_of({"camera_index": 7}, Path("x.png")) == "07"
    assert camera_of({}, Path("images/left eye.png")) == "left_eye"


def test_axes_of_opengl_become_ours() -> None:
    """A camera at (1, 2, 3) that looks along -z, y up."""
    matrix = np.eye(4)
    matrix[:3, 3] = [1, 2, 3]
    ours = pose({"transform_matrix": matrix.tolist()}, HERE)
    np.testing.assert_allclose(ours @ [0, 0, 1, 1], [1, 2, 2, 1])  # ahead
    np.testing.assert_allclose(ours @ [0, 1, 0, 1], [1, 1, 3, 1])  # down


@pytest.mark.parametrize(
    "matrix",
    [
        None,
        "x",
        [[1, 0], [0, 1]],
        np.zeros((4, 4)).tolist(),
        [[10**400] * 4] * 4,
        np.full((4, 4), 1e400).tolist(),
    ],
)
def test_what_is_no_pose_is_refused(matrix: Any) -> None:
    with pytest.raises(UserError, match=r"t\.json: a frame's transform_matrix is no 4x4 pose"):
        pose({"transform_matrix": matrix}, HERE)


def test_an_entry_by_hand() -> None:
    entry = entry_of(FRAME | {"fl_y": 510, "cx": 321, "k1": 0.1, "k3": 0.3}, np.eye(4), HERE)
    assert entry["K"] == [[500, 0, 321], [0, 510, 240], [0, 0, 1]]
    assert entry["distortion"] == [0.1, 0, 0, 0, 0.3]
    assert (entry["width"], entry["height"]) == (640, 480)
    assert entry_of(FRAME, np.eye(4), HERE)["K"][1][1] == 500  # square pixels


@pytest.mark.parametrize(
    "changes", [{"w": None}, {"fl_x": "x"}, {"fl_x": None}, {"k1": []}, {"cx": {}}]
)
def test_numbers_that_are_none_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"t\.json: a frame lacks w, h or fl_x"):
        entry_of(FRAME | changes, np.eye(4), HERE)


def test_frames_of_a_camera_share_their_optics_up_to_rounding() -> None:
    assert same_optics(FRAME, FRAME | {"file_path": "a", "timestep_index": 3})
    assert same_optics(FRAME, FRAME | {"fl_x": 500 * (1 + 1e-9)})
    for change in (
        {"k1": 0.1},
        {"fl_x": 501},
        {"fl_x": "500"},
        {"w": 320},
        {"cx": 3},
        {"w": 10**400},
    ):
        assert not same_optics(FRAME, FRAME | change)
