from pathlib import Path

import numpy as np
import pytest

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from pipeline.capture.colour import ColourCorrection
from pipeline.capture.images import read_image
from pipeline.capture.read import read_capture
from pipeline.ingest.framing import Framing
from pipeline.ingest.run import ingest
from tests.hard_cases import nersemble_folder


def test_a_participant_is_understood(tmp_path: Path) -> None:
    capture = read_capture(nersemble_folder(tmp_path))
    assert capture.layout == "NeRSemble"
    assert capture.sequences == ["EMO-1-shout_laugh", "EXP-2-eyes"]
    assert capture.camera_ids == ["222200036", "222200037"]
    assert capture.plates["222200037"].name == "image_222200037.jpg"
    assert capture.cameras is not None
    assert capture.cameras.sizes.tolist() == [[44, 64]] * 2
    np.testing.assert_allclose(capture.cameras.Ks[0], [[164, 0, 22], [0, 164, 32.08], [0, 0, 1]])
    np.testing.assert_allclose(capture.colours["222200036"].matrix, 1.1 * np.eye(3))


def test_stored_frames_and_plates_have_corrected_colours(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    ingest(home, tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        stored = store.image(0)
    (tmp_path / "074/calibration/color_calibration.json").unlink()
    ingest(home, tmp_path / "plain")
    with FrameStore(tmp_path / "plain/frames.h5") as store:
        expected = ColourCorrection(1.1 * np.eye(3)).apply(store.image(0))
        assert np.abs(store.image(0).astype(int) - expected).mean() > 3
    assert np.abs(stored.astype(int) - expected).mean() < 1.5  # twice through JPEG
    entry = files.read_json(tmp_path / "out/index.json")["cameras"]["222200036"]
    framing = Framing.from_json(entry, Cameras.load(tmp_path / "out/cameras.json"), 0)
    plate = read_image(home / "sequences/BACKGROUND/image_222200036.jpg")
    assert framing.apply(plate, "plate").astype(int).mean() > plate.mean() + 3


def test_a_benchmark_folder_has_intrinsics_per_camera(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    path = home / "calibration/camera_params.json"
    params = files.read_json(path)
    K = [[99.0, 0, 22], [0, 99, 32], [0, 0, 1]]
    path.write_text(
        files.json.dumps(params | {"intrinsics": dict.fromkeys(params["world_2_cam"], K)})
    )
    cameras = read_capture(home).cameras
    assert cameras is not None
    np.testing.assert_allclose(cameras.Ks, [K, K])


def test_videos_may_lie_beside_each_other(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    folder = home / "sequences/EXP-2-eyes"
    for path in (folder / "images").iterdir():
        path.rename(folder / path.name)
    (folder / "images").rmdir()
    assert len(read_capture(home).clips) == 4


@pytest.mark.fault("H6")
def test_version_2_of_the_tracks_is_taken(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    sequences = home / "sequences"
    for sequence, versions in {"EMO-1-shout+laugh": ("", "_v2"), "EXP-2-eyes": ("_v2",)}.items():
        folder = home / "sequences" / sequence / "tracking"
        folder.mkdir()
        for version in versions:
            (folder / f"flame2023_tracking{version}.npz").write_bytes(b"x")
    capture = read_capture(home)
    assert capture.flame is not None
    assert capture.flame.files == {
        "EMO-1-shout_laugh": home
        / "sequences/EMO-1-shout+laugh/tracking/flame2023_tracking_v2.npz",
        "EXP-2-eyes": sequences / "EXP-2-eyes/tracking/flame2023_tracking_v2.npz",
    }
    assert not capture.remarks


@pytest.mark.fault("H6")
def test_version_1_of_the_tracks_alone_warns(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    path = home / "sequences/EXP-2-eyes/tracking/flame2023_tracking.npz"
    path.parent.mkdir()
    path.write_bytes(b"x")
    capture = read_capture(home)
    assert capture.flame is not None
    assert capture.flame.files == {"EXP-2-eyes": path}
    (remark,) = capture.remarks
    assert "sequence EXP-2-eyes has flame2023_tracking.npz alone" in remark
    assert ingest(home, tmp_path / "out").status == "warn"


@pytest.mark.fault("H4")
def test_another_lens_is_refused_by_name(tmp_path: Path) -> None:
    home = nersemble_folder(tmp_path)
    path = home / "calibration/camera_params.json"
    path.write_text(files.json.dumps(files.read_json(path) | {"camera_model": "OPENCV_FISHEYE"}))
    with pytest.raises(UserError, match="camera_model 'OPENCV_FISHEYE' is not supported"):
        read_capture(home)
