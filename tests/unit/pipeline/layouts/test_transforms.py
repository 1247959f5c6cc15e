from pathlib import Path

import numpy as np

from avatar.dataset import FrameStore
from pipeline.capture import read_capture
from pipeline.ingest import ingest
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


def test_its_frames_are_stored_in_order(tmp_path: Path) -> None:
    ingest(transforms_folder(tmp_path), tmp_path / "out")
    with FrameStore(tmp_path / "out/frames.h5") as store:
        assert store.sequence.tolist() == ["074_EMO-1"] * 4 + ["074_EXP-2"] * 4
        stored = store.image(store.row(6, 1))
    expected = pictures(1, first=2)[0][..., ::-1]  # OpenCV wrote it as BGR
    assert np.abs(stored.astype(int) - expected).mean() < 3
