from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.capture.clip import Clip
from pipeline.capture.read import read_capture
from tests.hard_cases import nersemble_folder, transforms_folder, two_cameras
from tests.media_files import touch


def test_a_video_alone_and_a_folder_with_one_video_mean_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "ann.mp4", "bob/My Film (1).MOV", "bob/notes.txt", "bob/.hidden.mp4")
    for path, source in (("ann.mp4", "ann.mp4"), ("bob", "bob/My Film (1).MOV")):
        capture = read_capture(tmp_path / path)
        assert capture.clips == [Clip("main", "0", tmp_path / source)]
        assert capture.cameras is None


def test_an_absent_capture_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nobody\.mp4 does not exist"):
        read_capture(tmp_path / "nobody.mp4")


def test_each_layout_is_told_by_its_files(tmp_path: Path) -> None:
    layouts = {}
    for build in (nersemble_folder, transforms_folder, two_cameras):
        (tmp_path / build.__name__).mkdir()
        capture = read_capture(build(tmp_path / build.__name__))
        layouts[build.__name__] = capture.layout
        assert len(capture.camera_ids) == 2
    assert list(layouts.values()) == ["NeRSemble", "GaussianAvatars/VHAP", "headsplat"]


def test_params_come_with_any_layout(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    assert read_capture(home).params is None
    touch(home, "params.npz")
    assert read_capture(home).params == home / "params.npz"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match=r"a (does not exist|cannot be read)"):
        read_capture(tmp_path / "a")
    with pytest.raises(UserError, match="File name too long"):
        read_capture(tmp_path / ("x" * 300))
