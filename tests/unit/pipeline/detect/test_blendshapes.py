import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from avatar.rig.arkit import ARKIT_NAMES
from pipeline.detect import blendshapes
from tests.unit.pipeline.track.capture import write_store


def test_only_the_very_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "face.task"
    with pytest.raises(UserError, match=r"task_model .*face.task cannot be read \(No such file"):
        blendshapes.read_model(path, "0" * 64)
    path.write_bytes(b"model")
    digest = hashlib.sha256(b"model").hexdigest()
    assert blendshapes.read_model(path, digest.upper()) == b"model"
    for wrong in ("0" * 64, None):
        with pytest.raises(UserError, match=f"has the sha256 {digest}, expected"):
            blendshapes.read_model(path, wrong)


def test_what_is_no_face_landmarker_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.task", "w") as file:
        file.writestr("face_detector.tflite", b"no network")
    for data in (b"text", (tmp_path / "other.task").read_bytes()):
        with pytest.raises(UserError, match=r"x\.task is no face landmarker") as caught:
            blendshapes.Landmarker(data, "x.task")
        assert "\n" not in str(caught.value)


def _result(x: float, scores: dict[str, float]) -> SimpleNamespace:
    """As MediaPipe gives it: a face about (x, 0.5) of the picture."""
    side = np.linspace(-0.2, 0.2, 478)
    points = [SimpleNamespace(x=x + d, y=0.5 + d) for d in side]
    entries = [SimpleNamespace(category_name=name, score=value) for name, value in scores.items()]
    return SimpleNamespace(face_landmarks=[points], face_blendshapes=[entries])


def test_scores_go_by_name_and_belong_to_the_face_detected() -> None:
    face = 100 * np.array([[0.5 + d, 0.5 + d] for d in np.linspace(-0.2, 0.2, 478)])
    result = _result(0.52, {"_neutral": 0.9, "jawOpen": 0.4, "mouthSmileLeft": 0.7})
    scores = blendshapes.scores_of(result, (100, 100, 3), face)
    assert scores[ARKIT_NAMES.index("jawOpen")] == 0.4
    assert scores[ARKIT_NAMES.index("mouthSmileLeft")] == 0.7
    assert np.isfinite(scores).sum() == 2
    elsewhere = _result(0.8, {"jawOpen": 0.4})
    assert np.isnan(blendshapes.scores_of(elsewhere, (100, 100, 3), face)).all()
    nobody = SimpleNamespace(face_landmarks=[], face_blendshapes=[])
    assert np.isnan(blendshapes.scores_of(nobody, (100, 100, 3), face)).all()


def test_cameras_of_a_timestep_are_taken_together(tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [np.zeros((4, 4, 3), np.uint8)] * 6, 3, 2)
    scores = np.full((6, 52), np.nan)
    scores[[0, 2, 4], 24] = 0.1, 0.3, 0.9  # timestep 0 of the three cameras
    with FrameStore(tmp_path / "frames.h5") as store:
        values, known = blendshapes.per_timestep(store, scores)
    assert values[0, 24] == 0.3
    assert np.argwhere(known).tolist() == [[0, 24]]
