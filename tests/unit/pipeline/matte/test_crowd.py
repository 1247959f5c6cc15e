import json
from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.common.gate import Quality
from pipeline.detect.persons import Persons
from pipeline.matte import crowd
from tests.subject import tables
from tests.unit.pipeline.track.capture import write_store


def _index(folder: Path, faces: list[list[float]]) -> None:
    folder.joinpath("index.json").write_text(json.dumps({"cameras": {"0": {"other_faces": faces}}}))


def test_faces_in_the_frame_are_no_unseen_ones(tmp_path: Path) -> None:
    """Nobody is in this frame: a face beside it changes nothing."""
    write_store(tmp_path / "frames.h5", [np.full((64, 64, 3), 90, np.uint8)] * 3, 1, 3)
    _index(tmp_path, [[-30, 10, 10, 40], [20, 20, 40, 40]])
    assert crowd.persons_of(tmp_path, set()) == {}
    assert crowd.persons_of(tmp_path, {1}) == {}
    tmp_path.joinpath("index.json").unlink()
    with pytest.raises(UserError, match=r"index\.json is absent or damaged: run ingest again"):
        crowd.persons_of(tmp_path, set())


@pytest.mark.fault("4.8")
def test_what_was_removed_is_reported_by_stretch() -> None:
    table = tables({"talk": 100}, 2)
    removed = np.zeros(200)
    clip = np.flatnonzero(table.camera == 1)
    removed[clip[10:20]] = 0.1
    removed[clip[25:30]] = 0.2  # a short pause
    removed[clip[80]] = 0.3
    one, two = np.zeros((1, 4)), np.zeros((2, 4))
    quality = Quality()
    crowd.report_removed(
        quality, table, {0: Persons(one[0], one), 1: Persons(one[0], two)}, removed
    )
    assert quality.metrics["persons"] == 3
    assert quality.metrics["stretches_with_others_removed"] == [
        {
            "sequence": "talk", "camera": "c1", "first": 10, "last": 29, "frames": 15,
            "share_of_frame": pytest.approx(2 / 15),
        },
        {
            "sequence": "talk", "camera": "c1", "first": 80, "last": 80, "frames": 1,
            "share_of_frame": pytest.approx(0.3),
        },
    ]  # fmt: skip
    assert quality.status == "warn"
    assert "3 persons" in quality.messages[0]
    assert "camera c1, sequence talk, frames 10 to 29" in quality.messages[0]


def test_a_subject_alone_is_reported_as_one_person() -> None:
    quality = Quality()
    crowd.report_removed(quality, tables({"talk": 4}, 1), {}, np.zeros(4))
    assert (quality.metrics["persons"], quality.status) == (1, "pass")
    assert quality.metrics["stretches_with_others_removed"] == []
