from pathlib import Path

import pytest

from pipeline.capture.inspect import inspect, main
from tests.hard_cases import encode, nersemble_folder, two_cameras
from tests.media_files import write_clip


def test_a_capture_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = two_cameras(tmp_path)
    encode(capture / "talk/cam_1.mp4", stamps=[0, 1, 2, 3, 33, 34, 35, 36])
    assert main([str(capture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "layout headsplat, 1 sequences x 2 cameras" in lines[0]
    assert lines[1].split()[:3] == ["sequence", "camera", "frames"]
    assert lines[2].split() == [
        "talk",
        "0",
        "8",
        "0.27",
        "30",
        "64x48",
        "h264",
        "yuv420p",
        "0",
        "none",
    ]
    assert "1, longest 1.00 s" in lines[3]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    capture = two_cameras(tmp_path, width=128)
    (capture / "talk/cam_0.mp4").write_bytes(b"")
    (capture / "plates").mkdir()
    (capture / "plates/cam_0.png").write_bytes(b"text")
    found = inspect(capture)
    assert len(found.errors) == 3
    assert "is empty" in found.errors[0]
    assert "frames are 64 x 48, expected 128 x 48" in found.errors[1]
    assert "is not an image" in found.errors[2]


def test_what_is_not_understood_has_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().out.startswith("error: ")


def test_nersemble_is_named(tmp_path: Path) -> None:
    found = inspect(nersemble_folder(tmp_path))
    assert found.capture is not None
    assert found.capture.layout == "NeRSemble"
    assert len(found.rows) == 4
    assert found.errors == []


@pytest.mark.fault("L6")
def test_escape_codes_in_a_name_reach_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "\x1b[31manna\x07"
    folder.mkdir()
    write_clip(folder / "a.mp4", [90] * 3)
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[31manna\x07: layout" in out
    assert out.replace("\n", "").isprintable()
