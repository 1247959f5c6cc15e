"""Mistakes in the demo's eight cameras, seen by the rig's own landmarks with noise."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.rig import HeadRig
from pipeline.demo.studio import make_cameras
from pipeline.track.evidence import calibration_check
from pipeline.track.solve import joint_fit, rotations, stages
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.problem import Observations, Priors, Problem

STEPS, SIZE = 12, 256
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def seen(anny_rig: HeadRig) -> tuple[LandmarkModel, Observations]:
    """A head 8 % larger than the mean one that turns and talks before the demo's cameras."""
    model = joint_fit.landmark_model(anny_rig)
    cameras = make_cameras(8, SIZE)
    count = model.num_landmarks
    blank = Observations(
        np.zeros((STEPS, 8, count, 2)), np.ones((STEPS, 8), bool), cameras.Ks, cameras.viewmats,
        np.arange(STEPS) / 25, np.zeros(STEPS, int),
    )  # fmt: skip
    rng = np.random.default_rng(0)
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


def _scaled(viewmats: np.ndarray, factor: float) -> np.ndarray:
    scaled = viewmats.copy()
    scaled[:, :3, 3] *= factor
    return scaled


MISTAKES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "are in millimetres": lambda v: _scaled(v, 1000),
    "are in centimetres": lambda v: _scaled(v, 100),
    "are in units of about": lambda v: _scaled(v, 0.3),
    "are camera-to-world:": np.linalg.inv,
    "are in OpenGL axes:": lambda v: FLIP @ v,
    "are camera-to-world in OpenGL axes:": lambda v: np.linalg.inv(FLIP @ v),
    "are camera-to-world, in millimetres": lambda v: np.linalg.inv(_scaled(v, 1000)),
}
NAMES = [f"cam{number}" for number in range(8)]


def _some(observed: Observations, cameras: list[int]) -> Observations:
    return replace(
        observed, points=observed.points[:, cameras], seen=observed.seen[:, cameras],
        Ks=observed.Ks[cameras], viewmats=observed.viewmats[cameras],
    )  # fmt: skip


@pytest.mark.parametrize("cameras", [[*range(8)], [3, 4], [2, 3, 5]])
def test_a_right_calibration_passes(seen, cameras: list[int]) -> None:
    model, observed = seen
    assert calibration_check.check_rig(model, _some(observed, cameras), NAMES[: len(cameras)]) == []


@pytest.mark.parametrize("cameras", [[*range(8)], [3, 4], [2, 3, 5]])
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_named(seen, words: str, cameras: list[int]) -> None:
    model, observed = seen
    given = _some(observed, cameras)
    wrong = replace(given, viewmats=MISTAKES[words](given.viewmats))
    with pytest.raises(UserError, match=words):
        calibration_check.check_rig(model, wrong, NAMES[: len(cameras)])


@pytest.mark.parametrize(("degrees", "cameras"), [(180, 8), (90, 8), (-90, 3), (180, 2)])
def test_a_turned_video_is_named(seen, degrees: int, cameras: int) -> None:
    model, observed = seen
    given = _some(observed, [4, 3, 5, 2, 6, 1, 7, 0][:cameras])
    points = given.points.copy()
    turn = rotations.exp(np.radians([0, 0, degrees]))[:2, :2]
    points[:, 1] = (points[:, 1] - SIZE / 2) @ turn.T + SIZE / 2
    with pytest.raises(UserError, match=f"cam1: its video is turned by {degrees} degrees"):
        calibration_check.check_rig(model, replace(given, points=points), NAMES[:cameras])


def test_what_nothing_explains_is_not_explained(seen) -> None:
    model, observed = seen
    viewmats = observed.viewmats.copy()
    viewmats[2, :3] = rotations.exp(np.array([0.0, 0.5, 0.0])) @ viewmats[2, :3]
    assert calibration_check.check_rig(model, replace(observed, viewmats=viewmats), NAMES) == [2]


def test_a_single_camera_must_stand_upright(seen) -> None:
    model, observed = seen
    upright = _some(observed, [4])
    calibration_check.check_single(model, upright, "0")
    lying = np.stack([SIZE - upright.points[..., 1], upright.points[..., 0]], -1)
    with pytest.raises(UserError, match=r"camera 0: the head lies at (8|9)\d degrees.*by -90"):
        calibration_check.check_single(model, replace(upright, points=lying), "0")
    with pytest.raises(UserError, match=r"the head lies at -?1(7|8)\d degrees"):
        calibration_check.check_single(model, replace(upright, points=SIZE - upright.points), "0")
