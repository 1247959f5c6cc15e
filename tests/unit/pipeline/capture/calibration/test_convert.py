import json
from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from pipeline.capture.calibration.__main__ import main
from pipeline.capture.calibration.convert import read_transforms
from tests.hard_cases import nersemble_folder


def test_transforms_by_hand(tmp_path: Path) -> None:
    """An OpenGL camera at rest in the origin sees (0, 0, -2) two metres ahead."""
    frame = {"file_path": "images/left.png", "transform_matrix": np.eye(4).tolist(), "k1": 0.1}
    value = {"w": 640, "h": 480, "camera_angle_x": np.pi / 2, "frames": [frame]}
    (tmp_path / "transforms.json").write_text(json.dumps(value))
    cameras = read_transforms(tmp_path / "transforms.json")
    assert cameras.ids == ["left"]
    np.testing.assert_allclose(cameras.Ks[0], [[320, 0, 320], [0, 320, 240], [0, 0, 1]])
    np.testing.assert_allclose(cameras.viewmats[0] @ [0, 0, -2, 1], [0, 0, 2, 1])
    np.testing.assert_allclose(cameras.viewmats[0] @ [0, 1, -2, 1], [0, -1, 2, 1])
    assert cameras.distortion[0, 0] == 0.1


def test_the_command_writes_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = nersemble_folder(tmp_path) / "calibration/camera_params.json"
    out = tmp_path / "cameras.json"
    assert main(["nersemble", str(params), "--size", "1100", "1604", "--out", str(out)]) == 0
    assert "2 cameras: 222200036, 222200037" in capsys.readouterr().out
    np.testing.assert_allclose(Cameras.load(out).Ks[0], [[4100, 0, 550], [0, 4100, 802], [0, 0, 1]])
    assert main(["colmap", str(tmp_path), "--out", str(out)]) == 2
    assert "export the model as text" in capsys.readouterr().err


def transforms(path: Path, *frames: dict, **shared: object) -> Path:
    """A transforms.json: every frame at the origin unless it says otherwise."""
    plain = {"file_path": "images/a.png", "transform_matrix": np.eye(4).tolist()}
    value = {"w": 640, "h": 480, "fl_x": 500} | shared
    path.write_text(json.dumps(value | {"frames": [plain | frame for frame in frames]}))
    return path


def test_angles_of_view_give_both_focal_lengths(tmp_path: Path) -> None:
    frame = {"camera_angle_x": np.pi / 2, "camera_angle_y": 2 * np.arctan(0.5)}
    value = {"w": 640, "h": 480, "frames": [{"file_path": "a", **frame}]}
    value["frames"][0]["transform_matrix"] = np.eye(4).tolist()  # type: ignore[index]
    (tmp_path / "t.json").write_text(json.dumps(value))
    assert np.diag(read_transforms(tmp_path / "t.json").Ks[0]).tolist() == pytest.approx(
        [320, 480, 1]
    )


@pytest.mark.fault("H4")
@pytest.mark.parametrize(
    ("shared", "frame", "message"),
    [
        ({"camera_model": "OPENCV_FISHEYE"}, {}, "camera_model 'OPENCV_FISHEYE' is not supported"),
        ({}, {"camera_model": "EQUIRECTANGULAR"}, "camera_model 'EQUIRECTANGULAR'"),
        ({"is_fisheye": True}, {}, "is_fisheye True is not supported"),
        ({"k1": 0.1, "k4": 0.01}, {}, "lens term k4 = 0.01 is not supported"),
        ({"fl_x": 500}, {"fl_x": 600}, "changes its lens"),
        ({}, {"k1": 0.2}, "changes its lens"),
    ],
)
def test_lenses_beyond_ours_are_refused(
    tmp_path: Path, shared: dict, frame: dict, message: str
) -> None:
    path = transforms(tmp_path / "t.json", {}, frame, **shared)
    with pytest.raises(UserError, match=message):
        read_transforms(path)


@pytest.mark.fault("M16")
@pytest.mark.parametrize("width", ["1e400", "Infinity", "NaN", "-640", "0", "640.5", "1e30", '"w"'])
def test_a_width_that_is_none_is_refused(tmp_path: Path, width: str) -> None:
    path = transforms(tmp_path / "t.json", {})
    path.write_text(path.read_text().replace('"w": 640', f'"w": {width}'))
    with pytest.raises(UserError, match=r"t\.json: (camera 'a'|a frame lacks w)"):
        read_transforms(path)


@pytest.mark.fault("M16")
@pytest.mark.parametrize("metres", ["0", "-1", "1e300", "nan"])
def test_the_command_refuses_a_length_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metres: str
) -> None:
    out = tmp_path / "cameras.json"
    assert main(["colmap", str(tmp_path), f"--metres={metres}", "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("error: --metres is ") == 1
    assert not out.exists()
