from pathlib import Path

import cv2
import numpy as np

from avatar.data.reader import FrameStore
from pipeline.track.report.quality import Measures
from pipeline.track.report.quality_plot import FOUND, NONE, OUTLIER, write_plot
from pipeline.track.settings import Gate
from tests.unit.pipeline.track.capture import write_store


def _shares(path: Path) -> list[float]:
    """Of the picture's pixels those in the colours of no face, an outlier, a face."""
    image = cv2.imread(str(path))[..., ::-1] / 255
    return [float((np.abs(image - c).max(-1) < 0.02).mean()) for c in (NONE, OUTLIER, FOUND)]


def test_the_strip_shows_faces_outliers_and_gaps(tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [np.zeros((4, 4, 3), np.uint8)] * 10, 1, 10)
    found = (np.arange(10) < 5)[:, None]
    outliers = (np.arange(10) >= 7)[:, None]
    nothing = np.full((10, 1), np.nan)
    measures = Measures(
        np.ones(10, bool), np.ones((10, 1), bool), found, outliers, nothing, nothing, found,
        nothing, nothing, np.zeros((10, 2), bool),
    )  # fmt: skip
    with FrameStore(tmp_path / "frames.h5") as store:
        write_plot(tmp_path / "quality.png", measures, store, ["smile", "frown"], Gate())
    none, outlier, face = _shares(tmp_path / "quality.png")
    assert face > outlier > none > 0.001
    assert 1.3 < face / outlier < 2.2  # five timesteps to three
