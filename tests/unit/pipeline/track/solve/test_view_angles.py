import numpy as np
import pytest

from pipeline.track.solve import rotations, view_angles
from tests.unit.pipeline.track.capture import toy


def test_angles_are_those_between_the_head_and_the_cameras() -> None:
    """Cameras at -28.6, 0 and 28.6 degrees; the head turns by 0 to 57 degrees to one side."""
    problem = toy(timesteps=3, cams=3).problem
    yaw = np.array([0.0, 0.5, 1.0])
    turn = rotations.exp(yaw[:, None] * np.array([0.0, 1.0, 0.0]))
    state = problem.initial(turn, np.zeros((3, 3)))
    found = view_angles.view_angles(problem, state)
    level = view_angles.view_angles(problem, problem.initial(turn * 0 + np.eye(3), state.centre))
    # The landmarks' mean is before the pivot: angles are a little larger than the arc's.
    assert level[0, [0, 2]] == pytest.approx(np.degrees([0.5, 0.5]), abs=6)
    assert level[0, 1] < 6
    nearest = found.argmin(1)
    assert nearest[0] == 1
    assert nearest[1] == nearest[2] != 1
    opposite = 2 - nearest[1]
    assert found[1:, opposite] == pytest.approx(np.degrees([1.0, 1.5]), abs=10)
    near = view_angles.near_front(problem, state)
    assert near[0].all()
    assert not near[1:, opposite].any()
    assert near[:, nearest[1]].all()
