from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.data.reader import FrameStore
from pipeline.track import estimate
from pipeline.track.report.quality import Measures
from tests.unit.pipeline.track.capture import toy, write_store


@pytest.mark.fault("H15")
def test_covered_stretches_are_named_longest_first(tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [np.zeros((4, 4, 3), np.uint8)] * 20, 2, 10)
    observed = toy(timesteps=10, cams=2).problem.observations
    covered = np.zeros((10, 2, observed.points.shape[2]), bool)
    covered[1, 0] = True
    covered[4:8, 1, : covered.shape[2] // 2] = True
    with FrameStore(tmp_path / "frames.h5") as store:
        longest, other = estimate._covered_stretches(replace(observed, covered=covered), store)
    assert longest.startswith("camera 1, main 4 to 7: something covers 50% of the face")
    assert other.startswith("camera 0, main 1 to 1: something covers 100%")


def test_a_camera_most_of_whose_faces_are_rejected_is_remarked() -> None:
    blank = np.full((4, 3), np.nan)
    found = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 0, 1]], bool)
    outliers = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    measures = Measures(
        np.ones(4, bool), np.ones((4, 3), bool), found, outliers, blank, blank, found, blank,
        blank, np.zeros((4, 1), bool),
    )  # fmt: skip
    names = ["left", "middle", "right"]
    [remark] = estimate._rejected_cameras(measures, names, [])
    assert remark.startswith("camera middle: 2 of 3 detected faces contradict the other cameras")
    assert estimate._rejected_cameras(measures, names, ["camera middle disagrees"]) == []
