import numpy as np
import pytest

from pipeline.detect.landmarks import LEFT_EYE, NUM_LANDMARKS, RIGHT_EYE
from pipeline.evaluate.landmarks import LandmarkDistance, distance


def test_a_distance_by_hand() -> None:
    truth = np.zeros((NUM_LANDMARKS, 2))
    truth[LEFT_EYE], truth[RIGHT_EYE] = (130, 40), (70, 40)
    assert distance(truth + np.array([3, 4]), truth) == pytest.approx(100 * 5 / 60)


def test_a_face_that_moved_is_measured_and_one_that_is_missing_is_not(face: np.ndarray) -> None:
    measure = LandmarkDistance()
    assert measure(face, face) == 0
    aside = np.roll(face, 8, 1)
    eyes = 100 * 8 / measure(aside, face)
    assert 30 < eyes < 120  # the distance of the eyes, pixels
    assert measure(np.roll(face, 4, 1), face) == pytest.approx(measure(aside, face) / 2, rel=0.2)
    assert np.isnan(measure(np.full_like(face, 255), face))
    assert np.isnan(measure(face, np.full_like(face, 255)))
