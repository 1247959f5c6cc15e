import numpy as np
import pytest

from pipeline.track.solve.priors import PosePrior, ShapePrior
from tests.unit.pipeline.track.capture import toy


def test_a_shape_prior_costs_its_quadratic() -> None:
    """Half of x^T H x + 2 g^T x about its shape."""
    scene = toy(timesteps=3, cams=1)
    scene.problem.reweight(scene.truth)
    count = len(scene.truth.shape)
    prior = ShapePrior(scene.truth.shape - 1, 3 * np.eye(count), np.full(count, 0.5))
    other = scene.problem.with_shape_prior(prior)
    other.reweight(scene.truth)
    added = other.cost(scene.truth) - scene.problem.cost(scene.truth)
    assert added == pytest.approx((3 * count + 2 * 0.5 * count) / 2)


def test_a_pose_prior_of_some_timesteps() -> None:
    prior = PosePrior(np.arange(6.0).reshape(3, 2), np.ones((3, 2)))
    assert prior.at(np.array([2])).values.tolist() == [[4, 5]]
