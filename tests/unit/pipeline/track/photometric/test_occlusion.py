"""A painted head whose chin and mouth are behind a board for some frames."""

import numpy as np
import pytest

from avatar.rig import HeadRig
from pipeline.track.photometric import occlusion
from tests.unit.pipeline.track.painted import STEPS, Painted, painted

FIRST, LAST = 8, 13


@pytest.fixture(scope="module")
def head(anny_rig: HeadRig) -> Painted:
    scene = painted(anny_rig, 1)
    scene.problem.reweight(scene.truth)
    return scene


def _chin(head: Painted) -> np.ndarray:
    """Pixels of the landmarks of the lower half of the face in the first covered frame."""
    return head.problem.observations.points[FIRST, 0].mean(0)


def test_a_free_face_has_nothing_covered(head: Painted) -> None:
    assert not occlusion.occluded(head.problem, head.truth, head.skin, head.frame).any()


@pytest.mark.fault("H15")
@pytest.mark.parametrize("colour", [(90, 140, 190), (150, 140, 130)])
def test_landmarks_behind_a_board_are_covered(head: Painted, colour: tuple[int, ...]) -> None:
    height = int(_chin(head)[1])

    def frame(step: int, camera: int) -> np.ndarray:
        image = head.frame(step, camera).copy()
        if FIRST <= step <= LAST:
            image[height:] = colour
        return image

    covered = occlusion.occluded(head.problem, head.truth, head.skin, frame)
    some = np.flatnonzero(covered.any((1, 2)))
    # Every fifth or sixth frame is looked at: up to so many more on either side.
    assert FIRST - 6 <= some[0] <= FIRST
    assert LAST <= some[-1] <= LAST + 6
    points = head.problem.observations.points[FIRST + 2, 0]
    below = points[:, 1] > height + 8
    assert covered[FIRST + 2, 0, below].mean() > 0.8
    assert covered[FIRST + 2, 0, points[:, 1] < height - 8].mean() < 0.1


def test_stretches_end_with_their_sequence() -> None:
    covered = np.zeros((8, 2, 3), bool)
    covered[1:3, 0, 1] = covered[4:7, 1, 2] = True
    sequence = np.array([0] * 5 + [1] * 3)
    assert occlusion.stretches(covered, sequence) == [(0, 1, 2), (1, 4, 4), (1, 5, 6)]


def test_a_face_of_which_much_is_covered_is_rejected(head: Painted) -> None:
    observed = head.problem.observations
    covered = np.zeros((STEPS, 1, observed.points.shape[2]), bool)
    covered[3, 0, : covered.shape[2] // 2] = True
    covered[4, 0, : covered.shape[2] // 5] = True
    left = occlusion.without(observed, np.ones(STEPS, bool), covered)
    assert not left.seen[3, 0]
    assert left.seen.sum() == STEPS - 1
    assert left.covered is not None
    assert left.covered[4].sum() == covered[4].sum()
