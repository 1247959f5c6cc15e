from pathlib import Path

import numpy as np
import pytest

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from pipeline.detect.landmarks import Detections
from pipeline.track.evidence import observe
from tests.unit.pipeline.track.capture import cameras, write_store

IMAGE = np.zeros((4, 6, 3), np.uint8)
INDEX = {
    "cameras": {"0": {"source_size": [1280, 720], "scale": [0.5, 0.5], "center": [100.0, 150.0]}}
}


def _store(folder: Path, cams: int) -> FrameStore:
    write_store(folder / "frames.h5", [IMAGE] * 2 * cams, cams, 2)
    return FrameStore(folder / "frames.h5")


def test_the_focal_length_is_guessed_from_the_frame_as_filmed(tmp_path: Path) -> None:
    files.write_json(tmp_path / "index.json", INDEX)
    given, known = observe.cameras(tmp_path, _store(tmp_path, 1), focal=1.25)
    assert not known
    assert given.Ks[0].tolist() == [[800, 0, 100], [0, 800, 150], [0, 0, 1]]
    # The rig looks along +z with y up: such a head in front of the camera must face it.
    assert given.viewmats[0, :3, :3] @ [0, 0, 1] == pytest.approx([0, 0, -1])
    assert given.viewmats[0, :3, :3] @ [0, 1, 0] == pytest.approx([0, -1, 0])


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    files.write_json(tmp_path / "index.json", {"cameras": {}})
    with pytest.raises(UserError, match=r"index\.json is absent or damaged"):
        observe.cameras(tmp_path, _store(tmp_path, 1), focal=1.25)


def test_several_cameras_need_calibration(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 cameras but no cameras\.json"):
        observe.cameras(tmp_path, _store(tmp_path, 2), focal=1.25)


def test_given_cameras_come_in_the_stores_order(tmp_path: Path) -> None:
    Ks, viewmats = cameras(3)
    sizes = np.full((3, 2), 256)
    zero = np.zeros((3, 5))
    Cameras(["0", "1", "unused"], Ks, viewmats, sizes, zero, np.zeros(3)).save(
        tmp_path / "cameras.json"
    )
    given, known = observe.cameras(tmp_path, _store(tmp_path, 2), focal=1.25)
    assert known
    assert given.ids == ["0", "1"]
    assert given.viewmats == pytest.approx(viewmats[:2])


def test_a_camera_with_frames_but_without_calibration_is_named(tmp_path: Path) -> None:
    Ks, viewmats = cameras(1)
    zero = np.zeros((1, 5))
    Cameras(["1"], Ks, viewmats, np.full((1, 2), 256), zero, np.zeros(1)).save(
        tmp_path / "cameras.json"
    )
    with pytest.raises(UserError, match="lacks camera '0'"):
        observe.cameras(tmp_path, _store(tmp_path, 2), focal=1.25)


def test_landmarks_are_laid_out_by_timestep_and_camera(tmp_path: Path) -> None:
    store = _store(tmp_path, 2)
    points = np.arange(4)[:, None, None] * 1000.0 + np.arange(478)[:, None] + np.zeros(2)
    points[2] = np.nan
    found = Detections(points.astype(np.float32), ~np.isnan(points[:, 0, 0]))
    Ks, viewmats = cameras(2)
    given = Cameras(["0", "1"], Ks, viewmats, store.sizes, np.zeros((2, 5)), np.zeros(2))
    seen = observe.observations(store, given, found, np.array([7, 400]))
    assert seen.seen.tolist() == [[True, False], [True, True]]
    assert seen.points[1, 1, 1].tolist() == [3400, 3400]  # row 3: camera 1, timestep 1
    assert seen.points[0, 0, 0].tolist() == [7, 7]
    assert seen.clip.tolist() == [0, 0]


def test_a_leap_from_rest_to_rest_is_a_cut() -> None:
    still = np.zeros((10, 2, 478, 2))
    still[:, :, 263, 0] = 100  # the eyes are 100 pixels apart
    time = np.arange(10) / 30

    def cut_at(moved: np.ndarray, sequence: np.ndarray | None = None) -> list[int]:
        points = still + moved[:, None, None, None]
        clip = np.zeros(10, int) if sequence is None else sequence
        return np.flatnonzero(observe.cuts(points, clip, time)).tolist()

    leap = np.where(np.arange(10) < 4, 0.0, 25.0)
    assert cut_at(leap) == [4]
    assert cut_at(leap, (np.arange(10) >= 4).astype(int)) == []  # another sequence as it is
    assert cut_at(25.0 * np.arange(10)) == []  # a quick head is no cut
    assert cut_at(leap / 2) == []
    still[5] = np.nan
    assert cut_at(leap) == [4]
