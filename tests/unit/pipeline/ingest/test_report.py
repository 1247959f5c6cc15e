from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.common.gate import Quality
from pipeline.ingest.heads import Heads
from pipeline.ingest.report import grade_heads
from pipeline.ingest.run import ingest
from tests.media_files import camera, real_clip, write_cameras, write_clip


def test_offsets_between_cameras_are_reported(tmp_path: Path) -> None:
    for name in "01":
        write_clip(tmp_path / f"capture/talk/cam_{name}.mp4", [40, 60, 80, 100])
    write_cameras(tmp_path / "capture", {"0": camera(), "1": camera(time_offset=0.015)})
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    assert quality.metrics["camera_offsets"]["talk"] == pytest.approx({"0": 0, "1": 0.015})
    assert "camera 1 is 15.0 ms off the first one" in quality.messages[0]


def test_damage_is_said_in_quality(tmp_path: Path) -> None:
    data = bytearray(real_clip("hard_clips/mkv_no_frame_count.mkv").read_bytes())
    for place in np.random.default_rng(1).integers(len(data) // 2, len(data), 10):
        data[place] ^= 255
    (tmp_path / "damaged.mkv").write_bytes(data)
    quality = ingest(tmp_path / "damaged.mkv", tmp_path / "out")
    assert any("frames are good" in message for message in quality.messages)


HEADS = Heads((1920, 1080), 20, (0, 0, 1660, 1080), 1.0, (0.0, 0.0), 1.0, 200.0, 0.0, 1)


def graded(**changes: object) -> Quality:
    quality = Quality()
    grade_heads(quality, replace(HEADS, **changes), 512)  # type: ignore[arg-type]
    return quality


def test_good_heads_pass() -> None:
    assert graded() == Quality(graded().metrics, [], "pass")


@pytest.mark.fault("H16")
def test_a_head_that_walks_warns_with_the_number() -> None:
    quality = graded(spread=0.17)
    assert quality.metrics["share_of_pixels_against_a_still_head"] == 0.17
    assert "gets 17% of the pixels of a still head" in quality.messages[0]
    assert "set ingest.size_mono to 1242" in quality.messages[0]
    # More pixels than the source has are not asked for.
    assert "ingest.size_mono to 600" in graded(spread=0.17, window=(0, 0, 600, 400)).messages[0]
    assert "size_mono" not in graded(spread=0.17, window=(0, 0, 500, 400)).messages[0]


@pytest.mark.fault("M8")
def test_a_person_who_leaves_warns() -> None:
    quality = graded(absent=(0.69, 1.0))
    assert quality.status == "warn"
    assert "no face is found from 69% to 100% of the clip" in quality.messages[0]
    assert graded(absent=(0.85, 1.0)).status == "pass"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": None}, "no face was found in 20 sampled frames"),
        ({"crowd": 2}, "2 faces at once"),
        ({"roll": -87.0}, "the head lies at -87 degrees"),
        ({"width": 60.0}, "the face is 60 pixels wide"),
    ],
)
def test_odd_heads_warn(changes: dict, message: str) -> None:
    assert message in graded(**changes).messages[0]


@pytest.mark.fault("L4")
@pytest.mark.parametrize(
    ("count", "fps", "message"), [(3, 1, "1 frames per second"), (3, 25, "3 timesteps: expected")]
)
def test_too_few_frames_warn(tmp_path: Path, count: int, fps: float, message: str) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40 + 20 * k for k in range(count)], fps=fps)
    write_cameras(tmp_path / "capture", {"0": camera()})
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    assert quality.status == "warn"
    assert any(message in text for text in quality.messages)
