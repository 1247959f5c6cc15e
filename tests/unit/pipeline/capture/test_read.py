from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.capture.read import Clip, read_capture
from tests.media_files import camera, write_cameras


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def test_a_video_alone_and_a_folder_with_one_video_mean_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "ann.mp4", "bob/My Film (1).MOV", "bob/notes.txt", "bob/.hidden.mp4")
    for path, source in (("ann.mp4", "ann.mp4"), ("bob", "bob/My Film (1).MOV")):
        capture = read_capture(tmp_path / path)
        assert capture.clips == [Clip("main", "0", tmp_path / source)]
        assert capture.cameras is None


def test_sequences_and_cameras_come_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "talk/cam_b.mp4", "talk/cam_10.mkv", "calm/cam_b.mp4", "plates/cam_b.png")
    (tmp_path / "calm/cam_10").mkdir()
    write_cameras(tmp_path, {"b": camera(), "10": camera(time_offset=0.5), "unused": camera()})
    capture = read_capture(tmp_path)
    found = [(clip.sequence, clip.camera) for clip in capture.clips]
    assert found == [("calm", "10"), ("calm", "b"), ("talk", "10"), ("talk", "b")]
    assert capture.sequences == ["calm", "talk"]
    assert capture.plates == {"b": tmp_path / "plates/cam_b.png"}
    assert capture.cameras is not None
    assert capture.cameras.ids == ["10", "b"]
    assert capture.cameras.time_offsets.tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected exactly one video"),
        (["a.mp4", "b.mp4"], "found a.mp4, b.mp4"),
        (["a.mp4", "talk/cam_0.mp4"], "holds both a.mp4 and the folder talk"),
        (["talk/notes.txt"], "no <sequence>/cam_<id>.mp4"),
        (["talk/left.mp4"], r"expected the name cam_<id>\.mp4"),
        (["talk/cam_0.mp4", "talk/cam_0.mov"], "are both camera '0'"),
        (["ta lk/cam_0.mp4"], "sequence name 'ta lk' is not allowed"),
        (["talk/cam_a;touch X.mp4"], "camera name 'a;touch X' is not allowed"),
        (["talk/cam_0.mp4", "plates/cam_1.png"], "no clip of camera '1'"),
        (["talk/cam_0.mp4", "talk/cam_1.mp4"], r"2 cameras and no cameras\.json"),
    ],
)
def test_what_is_laid_out_otherwise_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_capture(touch(tmp_path, *names))


def test_a_camera_without_calibration_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "talk/cam_0.mp4", "talk/cam_1.mp4")
    write_cameras(tmp_path, {"0": camera()})
    with pytest.raises(UserError, match=r"cameras\.json lacks camera '1'"):
        read_capture(tmp_path)


def test_an_absent_capture_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nobody\.mp4 does not exist"):
        read_capture(tmp_path / "nobody.mp4")


def test_numbered_images_are_a_clip(tmp_path: Path) -> None:
    for number in (4, 5, 8):
        cv2.imwrite(str(tmp_path / f"{number:06d}.png"), np.full((4, 6, 3), number, np.uint8))
    touch(tmp_path, "cover.png")
    clip = Clip("main", "0", tmp_path, image_fps=10)
    np.testing.assert_allclose(clip.times(), [0, 0.1, 0.4])
    frames = list(clip.frames())
    assert [number for number, _ in frames] == [0, 1, 2]
    assert [int(image[0, 0, 0]) for _, image in clip.frames([1])] == [5]
    assert [int(image[0, 0, 0]) for _, image in frames] == [4, 5, 8]
    touch(tmp_path, "000009.png")
    with pytest.raises(UserError, match=r"000009\.png is not an image"):
        list(clip.frames())
