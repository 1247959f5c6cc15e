import json
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from pipeline import media
from pipeline.ingest.__main__ import main
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from tests.hard_cases import encode
from tests.media_files import camera, grey_frames, real_clip, write_cameras, write_clip


def test_the_turned_clip_gives_the_frames_of_the_clean_one_turned(tmp_path: Path) -> None:
    settings = IngestSettings(max_frames=2)
    ingest(real_clip("hard_clips/video_only.mp4"), tmp_path / "a", settings)
    ingest(real_clip("hard_clips/rotate90_and_mirror_tag.mp4"), tmp_path / "b", settings)
    source = [
        json.loads((tmp_path / name / "index.json").read_text())["cameras"]["0"]["source_size"]
        for name in "ab"
    ]
    assert source == [[1080, 720], [720, 1080]]


def test_calibration_of_another_size_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    write_cameras(tmp_path / "capture", {"0": camera(width=128)})
    with pytest.raises(UserError, match=r"cam_0\.mp4: a frame is 64 x 48, expected 128 x 48"):
        ingest(tmp_path / "capture", tmp_path / "out")
    assert not (tmp_path / "out/frames.h5").exists()


@pytest.mark.fault("M16")
def test_a_calibration_of_3600_million_pixels_is_refused_by_size(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    entry = camera(width=60_000, height=60_000, distortion=[0.1, 0, 0, 0, 0])
    write_cameras(tmp_path / "capture", {"0": entry})
    with pytest.raises(UserError, match=r"a frame is 64 x 48, expected 60000 x 60000"):
        ingest(tmp_path / "capture", tmp_path / "out")


@pytest.mark.fault("M16")
def test_distortion_that_leaves_no_picture_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    write_cameras(tmp_path / "capture", {"0": camera(distortion=[1e6, 0, 0, 0, 0])})
    with pytest.raises(UserError, match=r"distortion .* leaves 0% of the frame"):
        ingest(tmp_path / "capture", tmp_path / "out")
    assert not (tmp_path / "out/frames.h5").exists()


@pytest.mark.fault("M16")
def test_distortion_that_costs_a_part_warns(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60])
    write_cameras(tmp_path / "capture", {"0": camera(distortion=[0.5, 0, 0, 0, 0])})
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    assert quality.status == "warn"
    assert "without a picture" in quality.messages[0]


def test_a_second_run_writes_the_same(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80])
    write_cameras(tmp_path / "capture", {"0": camera()})
    names = ("index.json", "cameras.json", "quality.json")
    written = []
    for _ in range(2):
        ingest(tmp_path / "capture", tmp_path / "out")
        with FrameStore(tmp_path / "out/frames.h5") as store:
            blobs = [store.blob("image", row).tobytes() for row in range(3)]
        written.append([blobs, *((tmp_path / "out" / name).read_text() for name in names)])
    assert written[0] == written[1]


def test_a_single_frame_is_refused(tmp_path: Path) -> None:
    media.write_video(tmp_path / "one.mp4", grey_frames([50]), 25)
    with pytest.raises(UserError, match="holds 1 whole frames"):
        ingest(tmp_path / "one.mp4", tmp_path / "out")


BAD = {
    "empty.mp4": (b"", "is empty"),
    "text.mp4": (b"no video " * 99, "is not a video"),
    "absent.mp4": (None, "does not exist"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, message = BAD[name]
    capture = tmp_path / name
    if content is not None:
        capture.write_bytes(content)
    results = tmp_path / "results"
    assert main(["--subject", "s", "--capture", str(capture), "--results", str(results)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (results / "s/ingest/frames.h5").exists()
    record = json.loads((results / "s/failures/ingest.json").read_text())
    assert f"error: {record['error']}" == lines[0]
    assert {p.name for p in tmp_path.iterdir()} <= {name, "results"}


@pytest.mark.parametrize("name", ["audio_only.mp3", "two_faces_320x192_12fps.yuv"])
def test_real_files_without_video_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    clip = real_clip(f"hard_clips/{name}")
    assert main(["--subject", "s", "--capture", str(clip), "--results", str(tmp_path)]) == 2
    errors = [k for k in capsys.readouterr().err.splitlines() if k.startswith("error:")]
    assert len(errors) == 1


@pytest.mark.parametrize("subject", ["a;touch X", "../x", "", "a/b", ".hidden", "tables"])
def test_bad_subjects_write_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    subject: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path("a.mp4"), [40, 50])
    assert main(["--subject", subject, "--capture", "a.mp4"]) == 2
    assert capsys.readouterr().err.startswith("error: subject name")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.fault("M6")
def test_repeated_times_give_one_frame_each(tmp_path: Path) -> None:
    shades = list(range(20, 180, 20))
    stamps = [0, 1, 1, 2, 2, 3, 4, 5]
    encode(tmp_path / "a.mkv", grey_frames(shades), codec="ffv1", stamps=stamps)
    quality = ingest(tmp_path / "a.mkv", tmp_path / "out")
    assert quality.metrics["missing_frames"] == 0
    assert any("2 of 8 frames repeat the time of another one" in text for text in quality.messages)
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert len(store) == len(store.sequence) == 6
        levels = [round(float(store.image(row).mean())) for row in range(6)]
    assert levels == pytest.approx([20, 40, 80, 120, 140, 160], abs=2)
