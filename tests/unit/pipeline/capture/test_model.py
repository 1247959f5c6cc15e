from pathlib import Path

from pipeline.capture.clip import Clip
from pipeline.capture.model import Capture


def test_cameras_and_sequences_come_in_lexicographic_order() -> None:
    pairs = [("talk", "b"), ("talk", "10"), ("calm", "2")]
    capture = Capture(Path("c"), [Clip(*pair, Path("x")) for pair in pairs], {}, None)
    assert capture.camera_ids == ["10", "2", "b"]
    assert capture.sequences == ["calm", "talk"]
    assert (capture.params, capture.flame, capture.remarks) == (None, None, [])
