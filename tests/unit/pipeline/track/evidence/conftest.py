"""The demo's eight cameras, and the rig's own landmarks in them, with noise."""

from dataclasses import replace

import numpy as np
import pytest

from avatar.rig import HeadRig
from pipeline.demo.studio import make_cameras
from pipeline.track.settings import Priors
from pipeline.track.solve import joint_fit, rotations, stages
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.problem import Problem

STEPS, SIZE = 12, 256


@pytest.fixture(scope="module")
def seen(anny_rig: HeadRig) -> tuple[LandmarkModel, Observations]:
    """See `head`."""
    return head(anny_rig, 0)


def head(anny_rig: HeadRig, seed: int) -> tuple[LandmarkModel, Observations]:
    """A head 8 % larger than the mean one that turns and talks before the demo's cameras."""
    model = joint_fit.landmark_model(anny_rig)
    cameras = make_cameras(8, SIZE)
    count = model.num_landmarks
    blank = Observations(
        np.zeros((STEPS, 8, count, 2)), np.ones((STEPS, 8), bool), cameras.Ks, cameras.viewmats,
        np.arange(STEPS) / 25, np.zeros(STEPS, int),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    # A head of 1.08 times the size is, in the image, the mean head with the world shrunk.
    near = cameras.viewmats.copy()
    near[:, :3, 3] /= 1.08
    problem = Problem(model, replace(blank, viewmats=near), Priors(), stages.bounds(anny_rig))
    turn = rotations.exp(0.25 * rng.normal(size=(STEPS, 3)))
    state = problem.initial(turn, 0.02 * rng.normal(size=(STEPS, 3)))
    state.hinges[:, 0] = rng.uniform(0, 0.3, STEPS)
    state = replace(state, shape=0.7 * rng.normal(size=model.num_shape))
    pixels = problem.project(state, problem.in_cameras(state))
    return model, replace(blank, points=pixels + rng.normal(size=pixels.shape))
