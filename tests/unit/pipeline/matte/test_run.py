import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.reader import AlphaStore, FrameStore
from pipeline import media
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from pipeline.matte import workers as work
from pipeline.matte.__main__ import main
from pipeline.matte.backends import Choice
from pipeline.matte.run import grade, matte
from pipeline.matte.settings import MatteSettings
from tests.media_files import camera, real_clip, write_cameras, write_clip
from tests.unit.pipeline.matte.scenes import studio
from tests.unit.pipeline.track.capture import write_store


def test_a_real_person_is_cut_out(tmp_path: Path) -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    ingest(clip, tmp_path / "s/ingest", IngestSettings(max_frames=4, size_mono=256))
    assert main(["--subject", "s", "--results", str(tmp_path)]) == 0
    with AlphaStore(tmp_path / "s/matte/alpha.h5") as store:
        alphas = np.stack([store.alpha(row) for row in range(4)]) / 255
    height, width = alphas.shape[1:]
    middle = alphas[:, height // 3 : height * 2 // 3, width * 2 // 5 : width * 3 // 5]
    assert middle.min() > 0.95
    assert alphas[:, : height // 12, : width // 12].max() < 0.05
    quality = json.loads((tmp_path / "s/matte/quality.json").read_text())
    assert quality["status"] == "pass"
    assert quality["metrics"]["backends"] == {"0": "mediapipe"}


def test_no_person_fails_the_quality_and_not_the_stage(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 4, width=96, height=64)
    ingest(tmp_path / "a.mp4", tmp_path / "s/ingest")
    quality = matte(tmp_path / "s/ingest", tmp_path / "s/matte")
    assert quality.status == "fail"
    assert "no person" in quality.messages[0]


def test_a_real_scene_without_a_person_is_empty(tmp_path: Path) -> None:
    clip = real_clip("hard_clips/no_person.mp4")
    ingested = ingest(clip, tmp_path / "ingest", IngestSettings(max_frames=5, size_mono=256))
    assert ingested.metrics["share_of_samples_with_a_face"] == 0
    quality = matte(tmp_path / "ingest", tmp_path / "matte")
    assert quality.status == "fail"
    assert quality.metrics["mean_coverage"] < 0.01


@pytest.fixture
def studio_capture(tmp_path: Path) -> Path:
    """Two cameras, one with a plate."""
    capture = tmp_path / "capture"
    image, plate, _ = studio()
    for name in "01":
        media.write_video(capture / f"talk/cam_{name}.mp4", [image] * 2, 25, crf=5)
    (capture / "plates").mkdir()
    cv2.imwrite(str(capture / "plates/cam_1.png"), plate[..., ::-1])
    write_cameras(capture, {name: camera(128, 128) for name in "01"})
    ingest(capture, tmp_path / "s/ingest")
    return capture


def test_auto_takes_the_plates_there_are(tmp_path: Path, studio_capture: Path) -> None:
    quality = matte(tmp_path / "s/ingest", tmp_path / "s/matte", studio_capture)
    assert quality.metrics["backends"] == {"0": "mediapipe", "1": "plate"}
    with AlphaStore(tmp_path / "s/matte/alpha.h5") as store:
        found = store.alpha(store.row(0, 1)) / 255
    assert np.abs(found - studio()[2]).mean() < 0.012
    with pytest.raises(UserError, match=r"camera '0' has no plates/cam_0\.png"):
        matte(
            tmp_path / "s/ingest",
            tmp_path / "s/matte",
            studio_capture,
            MatteSettings(backend="plate"),
        )


def test_a_plate_of_another_size_is_refused(tmp_path: Path, studio_capture: Path) -> None:
    cv2.imwrite(str(studio_capture / "plates/cam_1.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(UserError, match=r"cam_1\.png: a frame is 10 x 10, expected 128 x 128"):
        matte(tmp_path / "s/ingest", tmp_path / "s/matte", studio_capture)


def test_missing_frames_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--subject", "s", "--results", str(tmp_path)]) == 2
    assert "frames.h5 does not exist" in capsys.readouterr().err


def test_flicker_is_measured_within_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips of constant alpha, one empty, one half: no flicker, half the frames empty."""
    capture = tmp_path / "capture"
    for name in "ab":
        write_clip(capture / f"talk/cam_{name}.mp4", [90] * 3, width=32, height=32)
    write_cameras(capture, {name: camera(32, 32) for name in "ab"})
    ingest(capture, tmp_path / "ingest")

    def fixed(choice: Choice) -> object:
        half = np.zeros((32, 32), np.uint8)
        half[: 16 if choice.plate is None else 0] = 255
        return lambda image, share=None: half

    monkeypatch.setattr(work, "start", fixed)
    path = tmp_path / "ingest/frames.h5"
    plate = np.zeros((32, 32, 3), np.uint8)
    pieces = work.cut(path, {"a": Choice("mediapipe"), "b": Choice("plate", plate)})
    done = list(work.matted(pieces, 1))
    coverage = np.concatenate([piece.coverage for piece in done])
    change = np.concatenate([piece.change for piece in done])
    np.testing.assert_allclose(coverage, [0.5] * 3 + [0] * 3, atol=1e-6)
    assert len(change) == 4
    quality = grade(coverage, change)
    assert quality.metrics["flicker"] == 0
    assert quality.metrics["mean_coverage"] == 0.25
    assert quality.metrics["share_of_empty_frames"] == 0.5
    assert quality.status == "warn"
    with FrameStore(path) as store:
        assert len(store) == 6


@pytest.mark.fault("4.8")
def test_of_two_persons_the_tracked_one_is_cut_out(tmp_path: Path) -> None:
    """A real person beside his smaller mirror image, shoulder at shoulder."""
    _, first = next(media.read_video(real_clip("hard_clips/clean_reference.mp4")))
    person = cv2.resize(first[:, 150:-150], None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA)
    other = cv2.resize(person[:, ::-1], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    wall = np.full((len(person) - len(other), other.shape[1], 3), other[0].mean(0), np.uint8)
    both = np.concatenate([person, np.concatenate([wall, other])], 1)
    media.write_video(tmp_path / "two.mp4", [both] * 8, 25, crf=10)
    media.write_video(tmp_path / "one.mp4", [person] * 8, 25, crf=10)
    alphas, reports = [], []
    for name in ("one", "two"):
        ingest(tmp_path / f"{name}.mp4", tmp_path / name, IngestSettings(size_mono=256))
        if name == "two":  # as a calibrated camera's: the whole frame
            write_store(tmp_path / "two/frames.h5", [both] * 8, 1, 8)
        reports.append(matte(tmp_path / name, tmp_path / f"{name}_matte"))
        with AlphaStore(tmp_path / f"{name}_matte/alpha.h5") as store:
            alphas.append(store.alpha(4) / 255)
    assert [report.metrics["persons"] for report in reports] == [1, 2]
    (stretch,) = reports[1].metrics["stretches_with_others_removed"]
    assert (stretch["first"], stretch["last"]) == (0, 7)
    width = person.shape[1]
    assert alphas[1][:, : width - 20].mean() > 0.3
    assert alphas[1][:, width + 20 :].max() < 0.05
