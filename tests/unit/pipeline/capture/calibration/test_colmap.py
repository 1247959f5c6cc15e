import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.capture.calibration.colmap import read_colmap

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
        ("1 FISHEYE 4 4 1 1", IMAGES, "camera model 'FISHEYE' is not supported"),
        ("1 PINHOLE 4 4 1 1", IMAGES, "camera 1 is no PINHOLE"),
        (MODEL, "1 1 0 0 0 0 0 2 7 cam_a.png\n\n", "has camera 7: not in cameras.txt"),
        (MODEL, "nonsense\n\n", "is no image"),
        (MODEL, "1 0 0 0 0 0 0 2 1 cam_a.png\n\n", "is no image"),
        (MODEL, "1 nan 0 0 0 0 0 2 1 cam_a.png\n\n", "is no image"),
        (MODEL, "1 1 0 0 0 0 0 2 1 a.png\n\n2 1 0 0 0 0 0 2 1 a.png\n\n", "two images of camera"),
        (MODEL, "", "names no camera"),
    ],
)
def test_colmap_is_checked(tmp_path: Path, cameras: str, images: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_colmap(model(tmp_path, cameras, images), 1.0)


def turntable(lines: str) -> str:
    return "".join(lines.replace("N", str(k)) for k in range(4))


ONE = "1 PINHOLE 64 48 60 60 32 24\n"


@pytest.mark.fault("M16")
@pytest.mark.parametrize(
    "images",
    [
        turntable("N 1 0 0 0 N 0 1 1 cam_N.png\n"),
        turntable("N 1 0 0 0 N 0 1 1 cam_N.png\n\n"),
        turntable("N 1 0 0 0 N 0 1 1 cam_N.png\n\n").rstrip(),
        turntable("N 1 0 0 0 N 0 1 1 cam_N.png\n1 2 3\n"),
        "# a comment\n" + turntable("N 1 0 0 0 N 0 1 1 cam_N.png\r\n1 2 -1 4 5 6\r\n"),
        turntable("N 1 0 0 0 N 0 1 1 cam_N/some name 7.png\n"),
        "".join(
            f"{k} 1 0 0 0 {k} 0 1 1 cam_{k}.png\n" + ("1 2 3\n" if k % 2 else "") for k in range(4)
        ),
    ],
    ids=["none", "empty", "last missing", "points", "comments", "spaces", "some"],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
def test_no_image_is_lost_whatever_its_point_lines(tmp_path: Path, images: str, mark: str) -> None:
    cameras = read_colmap(model(tmp_path, mark + ONE, mark + images), 1.0)
    assert cameras.ids == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(cameras.viewmats[:, 0, 3], [0, 1, 2, 3])


@pytest.mark.fault("M16")
@pytest.mark.parametrize("metres", [0.0, -1.0, 1e300, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(tmp_path: Path, metres: float) -> None:
    with pytest.raises(UserError, match=r"--metres is .*, expected the length"):
        read_colmap(model(tmp_path), metres)


@pytest.mark.fault("L7")
def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    model(tmp_path)
    (tmp_path / "images.txt").unlink()
    os.mkfifo(tmp_path / "images.txt")
    with pytest.raises(UserError, match="is not a plain file"):
        read_colmap(tmp_path, 1.0)


@pytest.mark.fault("H4")
@pytest.mark.parametrize(
    "lens", ["OPENCV_FISHEYE", "FULL_OPENCV", "SIMPLE_RADIAL_FISHEYE", "FOV", "THIN_PRISM_FISHEYE"]
)
def test_a_lens_beyond_ours_is_refused_by_name(tmp_path: Path, lens: str) -> None:
    cameras = f"1 {lens} 64 48 60 60 32 24 0.1 0 0 0\n"
    with pytest.raises(UserError, match=f"camera model '{lens}' is not supported"):
        read_colmap(model(tmp_path, cameras, turntable("N 1 0 0 0 0 0 1 1 cam_N.png\n")), 1.0)


@pytest.mark.fault("M4")
def test_a_negative_focal_length_is_refused(tmp_path: Path) -> None:
    images = turntable("N 1 0 0 0 0 0 1 1 cam_N.png\n")
    with pytest.raises(UserError, match="K is no pinhole matrix"):
        read_colmap(model(tmp_path, "1 PINHOLE 64 48 -60 60 32 24\n", images), 1.0)


def test_two_cameras_of_one_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"two cameras 1: keep one"):
        read_colmap(model(tmp_path, ONE + ONE), 1.0)
