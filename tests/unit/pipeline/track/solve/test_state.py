from dataclasses import replace

import numpy as np

from tests.unit.pipeline.track.capture import toy


def test_a_part_replaces_its_timesteps_and_what_is_shared() -> None:
    state = toy(timesteps=5, cams=1).truth
    part = state.at(np.array([1, 3]))
    np.testing.assert_array_equal(part.centre, state.centre[[1, 3]])
    moved = replace(part, centre=part.centre + 1, shape=part.shape * 2)
    whole = state.with_part(np.array([1, 3]), moved)
    assert (whole.centre - state.centre)[:, 0].round(9).tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(whole.shape, 2 * state.shape)
    np.testing.assert_array_equal(whole.expr, state.expr)
