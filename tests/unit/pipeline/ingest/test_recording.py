from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import media
from pipeline.common.gate import Quality
from pipeline.ingest.run import ingest
from tests.media_files import camera, real_clip, write_cameras


def scene(seed: int, count: int = 24, gain: float = 1.0) -> list[np.ndarray]:
    """Pictures of a steady scene in which a disc moves."""
    noise = np.random.default_rng(seed).integers(40, 160, (6, 8, 3), dtype=np.uint8)
    still = cv2.resize(noise, (96, 72), interpolation=cv2.INTER_CUBIC)
    frames = []
    for k in range(count):
        frame = still.copy()
        cv2.circle(frame, (30 + k, 36), 12, (150, 110, 90), -1)
        frames.append(np.clip(gain * frame, 0, 255).astype(np.uint8))
    return frames


def graded(folder: Path, clips: dict[str, list[np.ndarray]], cameras: str = "0") -> Quality:
    """Ingest a calibrated capture of the same clips for every camera."""
    for sequence, frames in clips.items():
        for name in cameras:
            media.write_video(folder / f"capture/{sequence}/cam_{name}.mp4", frames, 25, crf=4)
    write_cameras(folder / "capture", {name: camera(96, 72) for name in cameras})
    return ingest(folder / "capture", folder / "out")


def test_a_steady_recording_passes(tmp_path: Path) -> None:
    quality = graded(tmp_path, {"talk": scene(0)})
    assert quality.status == "pass", quality.messages
    assert quality.metrics["cuts"] == []
    assert quality.metrics["exposure_drift_ev"]["0"] < 0.05
    assert quality.metrics["share_of_repeated_frames"] == 0


@pytest.mark.fault("M5")
def test_a_cut_is_named_by_frame_and_time(tmp_path: Path) -> None:
    quality = graded(tmp_path, {"talk": scene(0) + scene(1)}, "01")
    assert quality.status == "warn"
    (message,) = [text for text in quality.messages if "cut" in text]
    assert "sequence talk, camera 0, 1: cut to another picture at frame 24 (0.96 s):" in message
    assert [cut["frame"] for cut in quality.metrics["cuts"]] == [24, 24]


@pytest.mark.fault("M5")
def test_the_cut_to_another_person_is_named() -> None:
    clip = real_clip("../faults/cases/video/cut_to_other.mp4")
    from pipeline.ingest.continuity import Continuity, thumbnail

    frames = [thumbnail(image) for _, image in media.read_video(clip)]
    assert Continuity.of(np.stack(frames)).cuts == [75]


@pytest.mark.fault("M9")
def test_a_step_in_exposure_is_measured(tmp_path: Path) -> None:
    quality = graded(tmp_path, {"talk": scene(0)[:12] + scene(0, gain=0.8)[12:]})
    assert quality.status == "warn"
    measured = quality.metrics["exposure_drift_ev"]["0"]
    assert 0.4 < measured < 1.0  # 0.8 of sRGB levels is 0.6 to 0.75 of linear light
    assert f"exposure varies by up to {measured:.2f} EV" in quality.messages[0]
    assert quality.metrics["cuts"] == []


@pytest.mark.fault("M9")
def test_exposure_is_compared_between_the_sequences_of_a_camera(tmp_path: Path) -> None:
    quality = graded(tmp_path, {"calm": scene(0), "talk": scene(0, gain=0.8)})
    assert quality.metrics["exposure_drift_ev"]["0"] > 0.4


@pytest.mark.fault("L4")
def test_one_picture_many_times_warns(tmp_path: Path) -> None:
    quality = graded(tmp_path, {"talk": scene(0)[:1] * 61})
    assert quality.status == "warn"
    assert "nothing moves in 61 frames" in quality.messages[0]


@pytest.mark.fault("L4")
def test_every_picture_twice_warns(tmp_path: Path) -> None:
    folder = tmp_path / "capture/talk/cam_0"
    folder.mkdir(parents=True)
    for number, frame in enumerate(frame for frame in scene(0) for _ in range(2)):
        cv2.imwrite(str(folder / f"{number:06d}.png"), frame)
    write_cameras(tmp_path / "capture", {"0": camera(96, 72)})
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    assert "51% of the frames repeat the one before" in quality.messages[0]
