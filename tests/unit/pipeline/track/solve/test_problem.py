from dataclasses import replace

import numpy as np
import pytest

from pipeline.track.settings import Priors
from pipeline.track.solve import rotations
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.priors import ShapePrior
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import Free
from tests.unit.pipeline.track.capture import Toy, toy

EVERYTHING = Free(np.arange(EXPR + 4), np.arange(4))


@pytest.fixture
def scene() -> Toy:
    """Away from the truth, so that no derivative vanishes; bounds out of the way.

    Rotations are not smoothed: that term's derivative is exact for small turns only.
    """
    scene = toy(timesteps=5, cams=2, noise=2.0, priors=Priors(sparse=0.3, turn=1e6))
    scene.problem.bounds = np.tile([[-9.0], [9.0]], 13)
    rng = np.random.default_rng(7)
    scene.problem.hint = ShapePrior(np.full(3, 0.5), np.diag([4.0, 2, 1]), np.array([0.1, 0, -0.2]))
    scene.truth = replace(
        scene.truth,
        zoom=0.03,
        rotation=scene.truth.rotation @ rotations.exp(0.02 * rng.normal(size=(5, 3))),
        bias=0.001 * rng.normal(size=scene.truth.bias.shape),
    )
    scene.problem.reweight(scene.truth)
    return scene


def _gradients(problem: Problem, state) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of the cost by every unknown."""
    step = 1e-6
    frame, shared = np.zeros((5, EXPR + 4)), np.zeros(4)

    def slope(by_frame: np.ndarray, by_shared: np.ndarray) -> float:
        ends = [
            problem.cost(problem.moved(state, EVERYTHING, sign * by_frame, sign * by_shared))
            for sign in (step, -step)
        ]
        return (ends[0] - ends[1]) / (2 * step)

    for index in np.ndindex(*frame.shape):
        unit = np.zeros_like(frame)
        unit[index] = 1
        frame[index] = slope(unit, shared * 0)
    for place in range(4):
        shared[place] = slope(np.zeros_like(frame), np.eye(4)[place])
    return frame, shared


def test_gradient_is_that_of_the_cost(scene: Toy) -> None:
    from pipeline.track.solve.solver import smooth_gradient

    normal = scene.problem.linearise(scene.truth, EVERYTHING)
    normal.frame_gradient += smooth_gradient(scene.problem, scene.truth, EVERYTHING)
    frame, shared = _gradients(scene.problem, scene.truth)
    # The Jacobian is in single precision.
    assert normal.frame_gradient == pytest.approx(frame, rel=1e-4, abs=1e-3)
    assert normal.shared_gradient == pytest.approx(shared, rel=1e-3, abs=1e-3)


def test_hessian_without_outliers_is_the_square_of_the_residuals_jacobian(scene: Toy) -> None:
    """One timestep, nothing but data: J^T J by differences of whitened residuals."""
    problem, state = scene.problem, scene.truth
    problem.priors.outlier = 1e6
    free = Free(np.arange(6, 9), np.array([0, 3]))  # the jaw; the first shape and the zoom

    def whitened(step: np.ndarray) -> np.ndarray:
        frame = np.zeros((5, 3))
        frame[2] = step[:3]
        moved = problem.moved(state, free, frame, step[3:])
        residual = problem.project(moved, problem.in_cameras(moved)) - problem.points
        weight = problem.confidence * problem.precision
        weight[[0, 1, 3, 4]] = 0
        return (residual * np.sqrt(weight)[..., None]).ravel()

    steps = 1e-6 * np.eye(5)
    jacobian = np.stack([(whitened(s) - whitened(-s)) / 2e-6 for s in steps], 1)
    expected = jacobian.T @ jacobian
    normal = problem.linearise(state, free)
    prior = 1 / problem.priors.jaw**2 * np.eye(3)
    assert normal.frame[2] - prior == pytest.approx(expected[:3, :3], rel=1e-4)
    assert normal.cross[2] == pytest.approx(expected[:3, 3:], rel=1e-4)


@pytest.mark.parametrize(("yaw", "most"), [(0.0, 1.0), (0.87, 0.51), (1.3, 0.021)])
def test_trust_fades_towards_profile(yaw: float, most: float) -> None:
    scene = toy(timesteps=1, cams=1)
    turn = rotations.exp(np.array([[0, yaw, 0.0]]))
    scene.problem.reweight(replace(scene.truth, rotation=turn, centre=np.zeros((1, 3))))
    confidence = scene.problem.confidence[0, 0] / scene.problem.priors.evidence
    assert confidence.max() == pytest.approx(most, rel=0.3)
    # The side that looks away has no weight at all.
    away = (scene.problem.model.normals @ turn[0].T)[:, 2] < np.cos(np.radians(88))
    assert away.any() == (yaw > 0)
    assert (confidence[away] == 0).all()


def test_a_closed_eye_silences_its_iris() -> None:
    scene = toy(timesteps=2, cams=1)
    problem, state = scene.problem, scene.truth
    problem.blinks = (0, 1)
    expr = np.array([[1.0, 0, 0, 0], [0.5, 0, 0, 0]])
    problem.reweight(replace(state, expr=expr, rotation=np.tile(np.eye(3), (2, 1, 1))))
    left, right = (problem.model.ids.tolist().index(iris) for iris in (473, 468))
    assert problem.confidence[0, 0, left] == 0
    assert problem.confidence[1, 0, left] == pytest.approx(
        0.25 * problem.confidence[1, 0, right], rel=0.2
    )


def test_second_differences_of_an_even_turn_vanish() -> None:
    scene = toy(timesteps=5, cams=1)
    even = rotations.exp(np.arange(5)[:, None] * np.array([0.02, 0.1, 0]))
    state = replace(scene.truth, rotation=even)
    assert scene.problem.second_differences(state)[:, :3] == pytest.approx(0, abs=1e-12)


def test_smoothness_does_not_reach_over_gaps_or_sequences() -> None:
    scene = toy(timesteps=8, cams=1)
    observed = scene.problem.observations
    time = np.array([0, 1, 2, 7, 8, 9, 0, 1]) / 30
    clip = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    problem = Problem(
        scene.problem.model, replace(observed, time=time, clip=clip), Priors(), np.zeros((2, 13))
    )
    assert problem.smooth.tolist() == [1, 4]


def test_steps_end_at_the_bounds() -> None:
    scene = toy(timesteps=1, cams=1)
    free = Free(np.array([6, EXPR]), np.zeros(0, int))  # jaw opening and the first blendshape
    moved = scene.problem.moved(scene.truth, free, np.array([[9.0, -9.0]]), np.zeros(0))
    assert moved.hinges[0, 0] == 0.5
    assert moved.expr[0, 0] == 0
    room = scene.problem.room(moved, free)
    assert room[1, 0, 0] == 0
    assert room[0, 0, 1] == 0
