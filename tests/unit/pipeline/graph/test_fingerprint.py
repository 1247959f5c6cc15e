"""A capture's fingerprint: names, sizes and bytes count, times do not."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.graph import fingerprint
from pipeline.graph.fingerprint import contents


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    folder = tmp_path / "captures/anna/talk"
    folder.mkdir(parents=True)
    for camera in "01":
        (folder / f"cam_{camera}.mp4").write_bytes(camera.encode() * 5000)
    return tmp_path / "captures/anna"


@pytest.mark.fault("H1")
def test_another_file_of_the_same_size_and_an_older_date_is_noticed(
    capture: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache.json"
    video = capture / "talk/cam_0.mp4"
    os.utime(video, (1e9, 1e9))
    before = contents(capture, cache)
    other = tmp_path / "other.mp4"
    other.write_bytes(b"x" * 5000)
    os.utime(other, (1e9, 1e9))
    os.replace(other, video)
    assert contents(capture, cache).hash != before.hash
    assert contents(capture, cache) == contents(capture)


@pytest.mark.fault("H1")
def test_a_change_behind_a_linked_folder_or_file_is_noticed(capture: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    shutil.move(capture / "talk", elsewhere / "talk")
    (capture / "talk").symlink_to(elsewhere / "talk")
    (capture / "cameras.json").symlink_to(elsewhere / "cameras.json")
    (elsewhere / "cameras.json").write_text("{}")
    before = contents(capture)
    assert before.names == ("cameras.json", "talk/cam_0.mp4", "talk/cam_1.mp4")
    (elsewhere / "talk/cam_1.mp4").write_bytes(b"2" * 5000)
    between = contents(capture)
    (elsewhere / "cameras.json").write_text("[]")
    assert len({before.hash, between.hash, contents(capture).hash}) == 3


@pytest.mark.fault("H1")
@pytest.mark.parametrize("change", ["rename", "remove", "add", "cut"])
def test_every_other_change_is_noticed(capture: Path, change: str) -> None:
    before = contents(capture).hash
    video = capture / "talk/cam_1.mp4"
    if change == "rename":
        video.rename(capture / "talk/cam_2.mp4")
    elif change == "remove":
        video.unlink()
    elif change == "add":
        (capture / "talk/cam_2.mp4").touch()
    else:
        os.truncate(video, 4999)
    assert contents(capture).hash != before


@pytest.mark.fault("H11")
def test_clutter_and_a_copy_with_new_times_change_nothing(capture: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    before = contents(capture, cache)
    for name in (".DS_Store", "talk/Thumbs.db", "README", "talk/notes.txt~", "talk/.cam_0.mp4.swp"):
        (capture / name).write_text("x")
    (capture / "@eaDir/talk").mkdir(parents=True)
    (capture / "@eaDir/talk/cam_0.mp4").touch()
    assert contents(capture, cache) == before
    copy = shutil.copytree(capture, tmp_path / "copy", copy_function=shutil.copyfile)
    assert contents(copy, cache) == before


def test_links_in_circles_pipes_and_broken_links_are_passed(capture: Path) -> None:
    (capture / "loop").symlink_to(".")
    (capture / "talk/up").symlink_to("..")
    (capture / "self").symlink_to("self")
    (capture / "broken").symlink_to("nowhere")
    os.mkfifo(capture / "pipe")
    assert set(contents(capture).names) >= {"self", "broken", "pipe", "talk/cam_0.mp4"}


def test_a_single_file_counts_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"abc")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert contents(tmp_path / "a.mp4") == contents(tmp_path / "b.mp4")
    assert contents(tmp_path / "a.mp4").names == (".",)


def test_of_a_large_capture_blocks_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "BUDGET", 4 * 4096)
    assert list(fingerprint._pieces(100_000, 4 * 4096)) == [
        (0, 4096), (31968, 4096), (63936, 4096), (95904, 4096)
    ]  # fmt: skip
    path = tmp_path / "long.mp4"
    path.write_bytes(bytes(100_000))
    before = contents(path).hash
    with open(path, "r+b") as file:
        file.seek(99_999)
        file.write(b"\1")
    assert contents(path).hash != before


@pytest.mark.fault("H11")
def test_a_damaged_cache_is_made_again(capture: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    before = contents(capture, cache)
    for text in ("", "[1]", '{"talk/cam_0.mp4": 3}', "[" * 100_000):
        cache.write_text(text)
        assert contents(capture, cache) == before


@pytest.mark.fault("4.1")
def test_a_folder_of_pictures_is_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "anna/talk/cam_0"
    folder.mkdir(parents=True)
    (folder / "000000.png").write_bytes(bytes(100))
    for number in range(1, 1000):
        os.link(folder / "000000.png", folder / f"{number:06d}.png")
    cache = tmp_path / "cache.json"
    first = contents(tmp_path / "anna", cache)
    assert len(first.names) == 1000
    before = cache.stat().st_mtime_ns
    assert contents(tmp_path / "anna", cache) == first
    assert cache.stat().st_mtime_ns == before
