import numpy as np
import pytest

from avatar.data.split import default_camera, default_timesteps


@pytest.mark.parametrize(("count", "camera"), [(1, -1), (3, -1), (4, 2), (7, 3), (16, 8)])
def test_the_middle_camera_of_four_or_more(count: int, camera: int) -> None:
    assert default_camera(count) == camera


def test_the_last_sequence_that_is_tracked() -> None:
    sequence = np.array(["a", "a", "b", "b", "c"])
    every = np.ones(5, bool)
    assert default_timesteps(sequence, every).tolist() == [False] * 4 + [True]
    untracked = np.array([True] * 4 + [False])
    assert default_timesteps(sequence, untracked).tolist() == [False, False, True, True, False]


def test_the_last_share_of_the_valid_timesteps_of_one_sequence() -> None:
    valid = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0], bool)  # ten
    held = default_timesteps(np.full(13, "a"), valid)
    assert np.flatnonzero(held).tolist() == [9, 10, 11]
