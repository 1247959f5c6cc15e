import json
from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from pipeline.capture.read import read_capture
from pipeline.ingest.run import ingest
from tests.flame_tracks import add_tracks, moves
from tests.hard_cases import pictures, transforms_folder


def test_a_union_is_sequences_and_cameras(tmp_path: Path) -> None:
    capture = read_capture(transforms_folder(tmp_path))
    assert capture.layout == "GaussianAvatars/VHAP"
    assert capture.sequences == ["074_EMO-1", "074_EXP-2"]
    assert capture.camera_ids == ["00", "01"]
    assert [number for number, _ in capture.clips[3].images or ()] == [0, 1, 2, 3]
    cameras = capture.cameras
    assert cameras is not None
    # OpenGL cameras at (0.1 c, 0, 1) look along -z: OpenCV's y and z are turned round.
    np.testing.assert_allclose(cameras.viewmats[1] @ [0.1, 0.2, 0, 1], [0, -0.2, 1, 1], atol=1e-9)
    assert any("holds out sequence 074_EXP-2 and camera 01" in text for text in capture.remarks)


def test_a_camera_without_the_first_frames_keeps_its_timesteps(tmp_path: Path) -> None:
    union = transforms_folder(tmp_path)
    for part in union.glob("transforms_*.json"):
        frames = json.loads(part.read_text())["frames"]
        kept = [f for f in frames if f["timestep_index"] > 0 or f["camera_index"] == 0]
        part.write_text(json.dumps({"frames": kept}))
    ingest(union, tmp_path / "out")
    clips = json.loads((tmp_path / "out/index.json").read_text())["clips"]
    assert [clip["timesteps"] for clip in clips[:2]] == [[0, 1, 2, 3], [1, 2, 3]]
    assert clips[1]["source_frames"] == [0, 1, 2]
    assert clips[1]["source_length"] == 3


def test_tracks_and_their_worlds(tmp_path: Path) -> None:
    """The second sequence's cameras stand 1 cm aside: so does its world."""
    union = transforms_folder(tmp_path)
    assert read_capture(union).flame is None
    add_tracks(union, {"074_EMO-1": moves(4), "074_EXP-2": moves(4)})
    (tmp_path / "074_EXP-2/flame_param/00001.npz").unlink()
    flame = read_capture(union).flame
    assert flame is not None
    second = flame.files["074_EXP-2"]
    assert isinstance(second, dict)
    assert second == {
        number: (tmp_path / f"074_EXP-2/flame_param/{number:05d}.npz").resolve()
        for number in (0, 2, 3)
    }
    np.testing.assert_allclose(flame.worlds["074_EMO-1"], np.eye(4), atol=1e-9)
    np.testing.assert_allclose(flame.worlds["074_EXP-2"][:3, 3], [-0.01, 0, 0], atol=1e-9)


def test_its_frames_are_stored_in_order(tmp_path: Path) -> None:
    ingest(transforms_folder(tmp_path), tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert store.sequence.tolist() == ["074_EMO-1"] * 4 + ["074_EXP-2"] * 4
        stored = store.image(store.row(6, 1))
    expected = pictures(1, first=2)[0][..., ::-1]  # OpenCV wrote it as BGR
    assert np.abs(stored.astype(int) - expected).mean() < 3


@pytest.mark.fault("H4")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_model": "OPENCV_FISHEYE"}, "camera_model 'OPENCV_FISHEYE' is not supported"),
        ({"is_fisheye": True}, "is_fisheye True is not supported"),
        ({"k4": 0.1}, "lens term k4 = 0.1 is not supported"),
    ],
)
def test_another_lens_is_refused_by_name(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_capture(transforms_folder(tmp_path, changes))


@pytest.mark.fault("H4")
def test_a_camera_whose_focal_length_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="camera '01' changes its lens"):
        read_capture(transforms_folder(tmp_path, {"fl_x": 70}))


@pytest.mark.fault("M16")
@pytest.mark.parametrize("timestep", [10**30, 10**10, -1])
def test_a_timestep_out_of_range_is_refused(tmp_path: Path, timestep: int) -> None:
    with pytest.raises(UserError, match=f"timestep_index {timestep} is not from 0 to"):
        read_capture(transforms_folder(tmp_path, {"timestep_index": timestep}))


@pytest.mark.fault("M16")
def test_an_infinite_width_is_refused(tmp_path: Path) -> None:
    union = transforms_folder(tmp_path)
    for part in union.glob("transforms_*.json"):
        part.write_text(part.read_text().replace('"w": 64', '"w": 1e400'))
    with pytest.raises(UserError, match="size holds NaN or infinity"):
        read_capture(union)
