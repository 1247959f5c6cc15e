import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from pipeline.capture.calibration.colmap import read_colmap
from pipeline.capture.calibration.convert import main, read_transforms
from tests.hard_cases import nersemble_folder

HALF = np.sqrt(0.5)
MODEL = """# a comment
1 OPENCV 640 480 500 510 320.5 240.5 -0.1 0.02 0.001 0.002
2 SIMPLE_RADIAL 320 240 250 160 120 0.05
"""
# Camera b: a quarter turn about y: what is along x of the world is behind it, along -z.
IMAGES = f"""# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME

1 1 0 0 0 0 0 2 1 cam_a.png
0.5 0.5 -1
2 {HALF} 0 {HALF} 0 1 2 3 2 cam_b/000000.png

"""


def model(folder: Path, cameras: str = MODEL, images: str = IMAGES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cameras.txt").write_text(cameras)
    (folder / "images.txt").write_text(images.replace("NAME\n\n", "NAME\n"))
    return folder


def test_colmap_by_hand(tmp_path: Path) -> None:
    cameras = read_colmap(model(tmp_path), metres=0.1)
    assert cameras.ids == ["a", "b"]
    assert cameras.sizes.tolist() == [[640, 480], [320, 240]]
    np.testing.assert_allclose(cameras.Ks[0], [[500, 0, 320.5], [0, 510, 240.5], [0, 0, 1]])
    np.testing.assert_allclose(cameras.Ks[1], [[250, 0, 160], [0, 250, 120], [0, 0, 1]])
    np.testing.assert_allclose(
        cameras.distortion, [[-0.1, 0.02, 0.001, 0.002, 0], [0.05, *[0] * 4]]
    )
    np.testing.assert_allclose(cameras.viewmats[0], [*np.eye(4)[:2], [0, 0, 1, 0.2], [0, 0, 0, 1]])
    seen = cameras.viewmats[1] @ [1, 0, 0, 1]
    np.testing.assert_allclose(seen, [0.1, 0.2, -1 + 0.3, 1], atol=1e-12)


def test_colmap_rotations_are_those_of_rodrigues(tmp_path: Path) -> None:
    axis_angle = np.array([0.3, -0.8, 0.5])
    angle = np.linalg.norm(axis_angle)
    w, (x, y, z) = np.cos(angle / 2), np.sin(angle / 2) * axis_angle / angle
    cameras = read_colmap(model(tmp_path, images=f"1 {w} {x} {y} {z} 0 0 0 1 a.png\n\n"), 1.0)
    np.testing.assert_allclose(cameras.viewmats[0, :3, :3], cv2.Rodrigues(axis_angle)[0])


@pytest.mark.parametrize(
    ("cameras", "images", "message"),
    [
        ("1 FISHEYE 4 4 1 1", IMAGES, "camera model 'FISHEYE'"),
        ("1 PINHOLE 4 4 1 1", IMAGES, "camera 1 is no PINHOLE"),
        (MODEL, "1 1 0 0 0 0 0 2 7 cam_a.png\n\n", "has camera 7: not in cameras.txt"),
        (MODEL, "nonsense\n\n", "is no image"),
        (MODEL, "1 1 0 0 0 0 0 2 1 a.png\n\n2 1 0 0 0 0 0 2 1 a.png\n\n", "two images of camera"),
        (MODEL, "", "names no camera"),
    ],
)
def test_colmap_is_checked(tmp_path: Path, cameras: str, images: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_colmap(model(tmp_path, cameras, images), 1.0)


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
