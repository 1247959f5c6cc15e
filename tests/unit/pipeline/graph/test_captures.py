"""What lies in captures/: each subject, and what is left out."""

import os
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.graph.captures import find_captures
from pipeline.graph.subject_table import Row

RESERVED = {"train", "rig", "all", "tables"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captures/anna").mkdir(parents=True)
    (tmp_path / "captures/bert.MOV").touch()
    return Path("captures")


def _refused(folder: Path) -> dict[str, str]:
    """What is left out, with the two good captures there all the same."""
    found = find_captures(folder, {}, RESERVED)
    assert found.paths == {"anna": folder / "anna", "bert": folder / "bert.MOV"}
    return found.refused


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("anna.srt", "captures/anna.srt is no video"),
        ("anna.json", "captures/anna.json is no video"),
        ("x.mp4.part", "captures/x.mp4.part is no video"),
        ("notes.txt", "captures/notes.txt is no video"),
        ("Thumbs.db", "captures/Thumbs.db is no video"),
        ("anna (1).mp4", "subject name 'anna (1)' is not allowed"),
        ("a{b}.mp4", "subject name 'a{b}' is not allowed"),
        ("x\n\x1b[31m.mp4", "subject name 'x\\n\\x1b[31m' is not allowed"),
        ("train.mp4", "captures/train.mp4: 'train' is the name of a rule"),
        ("tables.mp4", "subject name 'tables' is reserved"),
        ("demo.mp4", "captures/demo.mp4: 'demo' is the built-in demonstration"),
        ("x" * 65 + ".mp4", "is not allowed"),
    ],
)
def test_what_is_odd_is_left_out_and_named(folder: Path, name: str, reason: str) -> None:
    (folder / name).touch()
    refused = list(_refused(folder).values())
    assert len(refused) == 1
    assert reason in refused[0]
    assert refused[0].isprintable()


@pytest.mark.fault("L5")
@pytest.mark.parametrize("name", ["m" + "a" * 20, "x" + "ab" * 20, "1" * 64])
def test_a_name_that_ends_in_repeats_is_left_out(folder: Path, name: str) -> None:
    (folder / f"{name}.mp4").touch()
    assert "twenty times or more: rename it" in _refused(folder)[name]


@pytest.mark.fault("L5")
def test_nineteen_repeats_are_fine(folder: Path) -> None:
    (folder / f"m{'a' * 19}.mp4").touch()
    assert not find_captures(folder, {}, RESERVED).refused


@pytest.mark.fault("H10")
def test_links_to_nothing_pipes_and_bytes_that_are_no_text_are_left_out(folder: Path) -> None:
    (folder / "broken.mp4").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe.mp4")
    Path(os.fsdecode(b"captures/\xff.mp4")).touch()
    refused = _refused(folder)
    assert "is a link to nothing" in refused["broken.mp4"]
    assert "is a link to nothing" in refused["loop"]
    assert "is neither a folder nor a plain file" in refused["pipe.mp4"]
    assert "'\\udcff' is not allowed" in refused["\udcff"]


def test_hidden_files_and_the_readme_are_passed_silently(folder: Path) -> None:
    for name in (".DS_Store", "README.md", "Readme.txt", ".x.mp4.swp"):
        (folder / name).touch()
    assert _refused(folder) == {}


@pytest.mark.fault("H10")
def test_two_captures_of_one_name_leave_only_that_one_out(folder: Path) -> None:
    for name in ("carl.mp4", "carl.mov", "carl.avi"):
        (folder / name).touch()
    assert _refused(folder) == {
        "carl": "captures/: carl.avi and carl.mov are both 'carl': rename one"
    }
    table = {"carl": Row("carl", capture="captures/carl.mp4")}
    found = find_captures(folder, table, RESERVED)
    assert found.paths["carl"] == folder / "carl.mp4"
    assert not found.refused


@pytest.mark.fault("H10")
def test_captures_may_be_a_file_or_missing(tmp_path: Path) -> None:
    assert not find_captures(tmp_path / "none", {}, RESERVED).refused
    (tmp_path / "captures").touch()
    found = find_captures(tmp_path / "captures", {}, RESERVED)
    assert not found.paths
    assert "cannot be listed (Not a directory)" in next(iter(found.refused.values()))


def test_a_row_of_the_table_needs_its_capture(folder: Path) -> None:
    with pytest.raises(UserError, match="ghost has no capture at captures/ghost"):
        find_captures(folder, {"ghost": Row("ghost")}, RESERVED)
    with pytest.raises(UserError, match=r"anna has no capture at /none\.mp4"):
        find_captures(folder, {"anna": Row("anna", capture="/none.mp4")}, RESERVED)
    found = find_captures(folder, {"demo": Row("demo", capture="captures/bert.MOV")}, RESERVED)
    assert "built-in demonstration" in found.refused["demo"]
