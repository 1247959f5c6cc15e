import os
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.capture.read import read_capture
from tests.media_files import camera, touch, write_cameras


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


@pytest.mark.fault("H11")
def test_what_other_programs_leave_is_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "talk/cam_0.mp4", "talk/.hidden", "talk/notes.pdf", ".git/x", "README.md")
    touch(tmp_path, "@eaDir/x", "talk/@eaDir/cam_1.mp4", "Thumbs.db", ".DS_Store", "__MACOSX/y")
    capture = read_capture(tmp_path)
    assert [(clip.sequence, clip.camera) for clip in capture.clips] == [("talk", "0")]


def test_a_camera_missing_in_a_sequence_and_an_unused_one_are_remarked(tmp_path: Path) -> None:
    touch(tmp_path, "calm/cam_0.mp4", "talk/cam_0.mp4", "talk/cam_1.mp4")
    write_cameras(tmp_path, {"0": camera(), "1": camera(), "2": camera()})
    capture = read_capture(tmp_path)
    assert capture.remarks == [
        "sequence calm has no clip of camera 1",
        "cameras.json lists 2 without a clip: left out; add its video or remove it",
    ]


@pytest.mark.fault("H5")
def test_an_exported_dataset_gives_its_cutouts_else_its_images(tmp_path: Path) -> None:
    touch(tmp_path, "talk/cam_0/image/000000.jpg", "talk/cam_0/alpha/000000.png")
    touch(tmp_path, "frames.csv", "params.npz")
    write_cameras(tmp_path, {"0": camera()})
    assert read_capture(tmp_path).clips[0].source == tmp_path / "talk/cam_0/image"
    touch(tmp_path, "talk/cam_0/cutout/000000.png")
    assert read_capture(tmp_path).clips[0].source == tmp_path / "talk/cam_0/cutout"
    assert read_capture(tmp_path).params == tmp_path / "params.npz"


@pytest.mark.fault("L7")
def test_a_named_pipe_as_calibration_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "talk/cam_0.mp4")
    os.mkfifo(tmp_path / "cameras.json")
    with pytest.raises(UserError, match=r"cameras\.json is not a plain file"):
        read_capture(tmp_path)
