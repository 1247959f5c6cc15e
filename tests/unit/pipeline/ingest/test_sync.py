from pathlib import Path

import numpy as np
import pytest

from avatar.data.reader import FrameStore
from pipeline.common.gate import Quality
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from pipeline.ingest.sync import nearest
from tests.media_files import camera, write_cameras, write_clip


def levels(store: FrameStore, camera: int) -> list[int]:
    """The grey level of a camera's frame at every timestep, -1 where there is none."""
    rows = [store.row(t, camera) for t in range(len(store.sequence))]
    return [-1 if row < 0 else round(float(store.image(row).mean())) for row in rows]


def test_nearest_pairs_by_hand() -> None:
    times = np.array([0.0, 1.0, 2.0, 3.0])
    others = np.array([-0.4, 0.1, 1.2, 1.4, 2.9])
    assert nearest(times, others, 0.5) == [(0, 1), (1, 2), (3, 4)]
    assert nearest(times, others, 0.65) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert nearest(times, np.array([2.2]), 0.5) == [(2, 0)]
    assert nearest(np.array([1.9, 2.1]), np.array([2.0]), 0.5) == [(0, 0)]


def test_cameras_are_aligned_by_their_times(tmp_path: Path) -> None:
    """Camera 1 starts two frames later, runs at the same rate and has one frame more at its end."""
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80, 100, 120])
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [80, 100, 120, 140])
    cameras = {"0": camera(), "1": camera(time_offset=0.083)}
    write_cameras(tmp_path / "capture", cameras)
    quality = ingest(tmp_path / "capture", tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert levels(store, 0) == pytest.approx([40, 60, 80, 100, 120], abs=2)
        assert levels(store, 1) == pytest.approx([-1, -1, 80, 100, 120], abs=2)
        np.testing.assert_allclose(store.time, np.arange(5) / 25)
    assert quality.metrics["missing_frames"] == 2
    assert Quality.load(tmp_path / "out/quality.json").status == "warn"


def test_a_slower_camera_gives_its_nearest_frames(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 50, 60, 70, 80, 90, 100], fps=30)
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [40, 60, 80, 100], fps=15)
    write_cameras(tmp_path / "capture", {"0": camera(), "1": camera()})
    ingest(tmp_path / "capture", tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert levels(store, 1) == pytest.approx([40, -1, 60, -1, 80, -1, 100], abs=2)


def test_cameras_in_step_are_aligned_by_number(tmp_path: Path) -> None:
    """The file of camera 1 says 30 frames/s where both ran at 25: its times drift."""
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80, 100, 120, 140, 160, 180])
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [40, 60, 80, 100, 120, 140, 160], fps=30)
    write_cameras(tmp_path / "capture", {"0": camera(), "1": camera()})
    quality = ingest(tmp_path / "capture", tmp_path / "out", IngestSettings(align="number"))
    with FrameStore(tmp_path / "out/frames.h5") as store:
        expected = [40, 60, 80, 100, 120, 140, 160, -1]
        assert levels(store, 1) == pytest.approx(expected, abs=2)
    assert quality.metrics["missing_frames"] == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_frames": 2}, [0, 1]),
        ({"start": 0.08}, [2, 3, 4, 5, 6, 7]),
        ({"start": 0.08, "duration": 0.12}, [2, 3, 4]),
        ({"fps": 12.5}, [0, 2, 4, 6]),
        ({"fps": 100}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_part_is_taken_of_every_sequence(
    tmp_path: Path, settings: dict[str, float], expected: list[int]
) -> None:
    for sequence in ("calm", "talk"):
        write_clip(tmp_path / f"capture/{sequence}/cam_0.mp4", [30 + 20 * k for k in range(8)])
    write_cameras(tmp_path / "capture", {"0": camera()})
    ingest(tmp_path / "capture", tmp_path / "out", IngestSettings(**settings))  # type: ignore[arg-type]
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert store.sequence.tolist() == ["calm"] * len(expected) + ["talk"] * len(expected)
        assert store.index.tolist() == 2 * list(range(len(expected)))
        np.testing.assert_allclose(store.time, 2 * [k / 25 for k in expected], atol=1e-9)
        assert levels(store, 0) == pytest.approx(2 * [30 + 20 * k for k in expected], abs=2)
