import numpy as np
import pytest

from pipeline.detect import landmarks
from pipeline.detect.landmarks import LEFT_IRIS, RIGHT_IRIS

BLANK = np.full((256, 256, 3), 90, np.uint8)


def test_points_are_pixels_and_right_is_the_subjects(face: np.ndarray) -> None:
    found = landmarks.detect_images([face, BLANK])
    assert found.found.tolist() == [True, False]
    assert np.isnan(found.points[1]).all()
    right, left = found.points[0, RIGHT_IRIS], found.points[0, LEFT_IRIS]
    assert 60 < right[0] < 128 < left[0] < 196
    # A strip of 64 pixels to the left moves every point by 64.
    wide = np.concatenate([BLANK[:, :64], face], 1)
    moved = landmarks.detect_images([wide]).points[0]
    assert np.median(moved - found.points[0], axis=0) == pytest.approx([64, 0], abs=1.0)
