from pathlib import Path

import pytest

from pipeline.drive import __main__ as command
from tests.rigs import toy_rig
from tests.unit.avatar.export.subjects import save_subject


def test_the_command_writes_and_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_subject(tmp_path, toy_rig())
    by = ["toy", "--results", str(tmp_path), "--by", "toy", "--size", "32"]
    assert command.main(by) == 0
    found = capsys.readouterr()
    assert found.out == f"{tmp_path / 'toy/drive/toy.mp4'}\n"
    assert "drive: 100%" in found.err
    assert command.main([*by, "--background", "transparent", "-q"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'toy/drive/toy.mov'}\n"


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_subject(tmp_path, toy_rig())
    toy = ["toy", "--results", str(tmp_path)]
    (tmp_path / "a.csv").write_text("smile\n0\n")
    assert command.main([*toy, "--by", "nobody"]) == 2
    assert command.main([*toy, "--by", str(tmp_path / "a.csv")]) == 2
    assert command.main([*toy, "--by", "toy", "--camera", "back"]) == 2
    assert command.main([*toy, "--by", "toy", "--output", "a.avi"]) == 2
    for wrong in (
        [], ["--by", "toy", "--size", "5"], ["--by", "toy", "--background", "pink"],
        ["--by", "toy", "--fps", "nan"],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            command.main([*toy, *wrong])
        assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 8
    assert all(line.startswith("error: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"), [("512", (512, 512)), ("512x768", (512, 768)), ("16x8192", (16, 8192))]
)
def test_sizes(text: str, expected: tuple[int, int]) -> None:
    assert command._size(text) == expected


def test_colours() -> None:
    assert command._background("#FF8000") == pytest.approx((1, 128 / 255, 0))
    assert command._background("black") == (0, 0, 0)
    assert command._background("transparent") is None
