import json
from pathlib import Path

import numpy as np

from avatar.data.reader import FrameStore
from pipeline.capture.clip import Clip
from pipeline.ingest.framing import windowed
from pipeline.ingest.run import ingest
from pipeline.ingest.store import StoredClip, tabulate
from pipeline.ingest.sync import Plan
from tests.media_files import camera, write_cameras, write_clip


def test_timesteps_are_numbered_over_the_sequences() -> None:
    """Camera b lacks the first timestep of talk; calm has one timestep."""
    clips = [Clip(s, c, Path("x")) for s, c in (("calm", "a"), ("talk", "a"), ("talk", "b"))]
    places = [[0], [0, 2, 3], [2, 3]]
    stored = [StoredClip(clip, list(p), p) for clip, p in zip(clips, places, strict=True)]
    plans = {"calm": Plan(np.array([0.0]), {}), "talk": Plan(np.arange(4) / 10, {})}
    framings = {"a": windowed((64, 48), None, 64), "b": windowed((64, 48), None, 32)}
    tables = tabulate(stored, plans, framings)
    assert tables.camera_ids == ["a", "b"]
    assert tables.sizes.tolist() == [[64, 48], [32, 24]]
    assert tables.sequence.tolist() == ["calm", "talk", "talk", "talk"]
    assert tables.index.tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(tables.time, [0, 0, 0.2, 0.3])
    assert tables.camera.tolist() == [0, 0, 0, 0, 1, 1]
    assert tables.timestep.tolist() == [0, 1, 2, 3, 2, 3]


def test_the_index_leads_back_to_the_source(tmp_path: Path) -> None:
    write_clip(tmp_path / "capture/talk/cam_0.mp4", [40, 60, 80, 100, 120])
    write_clip(tmp_path / "capture/talk/cam_1.mp4", [80, 100, 120, 140])
    cameras = {"0": camera(), "1": camera(time_offset=0.08)}
    write_cameras(tmp_path / "capture", cameras)
    ingest(tmp_path / "capture", tmp_path / "out")
    first, second = json.loads((tmp_path / "out/index.json").read_text())["clips"]
    assert (first["source_length"], second["source_length"]) == (5, 4)
    assert second["timesteps"] == [2, 3, 4]
    assert second["source_frames"] == [0, 1, 2]
    np.testing.assert_allclose(second["source_times"], [0, 0.04, 0.08])
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert [store.row(t, 1) for t in second["timesteps"]] == [5, 6, 7]
