from pathlib import Path

import numpy as np

from avatar.base import files
from avatar.data.cameras import Cameras
from avatar.data.reader import FrameStore
from pipeline.capture.colour import ColourCorrection
from pipeline.capture.model import read_image
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
