from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from pipeline.track.settings import Priors
from pipeline.track.solve import rotations, solver
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.state import Free, Normal
from tests.unit.pipeline.track.capture import toy

NOTHING = np.zeros(0, int)
LOOSE = {"turn": 1.0, "shift": 1.0, "swing": 10.0, "glance": 10.0, "action": 10.0}
FIRM = Priors(evidence=1.0, sparse=0.0, shape=10.0, expr=10.0, **LOOSE)


@pytest.fixture(autouse=True)
def to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The minimum itself is compared here: small gains count, too."""
    monkeypatch.setattr(solver, "ENOUGH", 1e-6)


def _random_normal(rng: np.random.Generator) -> Normal:
    """Four timesteps of three unknowns and two shared ones, positive definite."""
    rows = rng.normal(size=(4, 9, 5))
    full = rows.swapaxes(1, 2) @ rows
    return Normal(
        full[:, :3, :3], full[:, :3, 3:], full[:, 3:, 3:].sum(0), rng.normal(size=(4, 3)),
        rng.normal(size=2),
    )  # fmt: skip


def _dense(normal: Normal, band: solver.Band) -> tuple[np.ndarray, np.ndarray]:
    matrix, gradient = np.zeros((14, 14)), np.zeros(14)
    for t in range(4):
        own = slice(3 * t, 3 * t + 3)
        matrix[own, own] = normal.frame[t]
        matrix[own, 12:], matrix[12:, own] = normal.cross[t], normal.cross[t].T
        gradient[own] = normal.frame_gradient[t]
    matrix[12:, 12:], gradient[12:] = normal.shared, normal.shared_gradient
    for column in range(12):
        unit = np.eye(12)[column].reshape(4, 3)
        matrix[:12, column] += band.apply(unit).ravel()
    return matrix, gradient


def test_band_is_the_square_of_second_differences() -> None:
    problem = toy(timesteps=4, cams=1).problem
    band = solver.band(problem, Free(np.array([3]), NOTHING))
    D = np.array([[1.0, -2, 1, 0], [0, 1, -2, 1]])
    matrix = np.concatenate([band.apply(column[:, None]) for column in np.eye(4)], 1)
    assert matrix == pytest.approx(D.T @ D * problem.smooth_precision[3])


def test_step_solves_the_whole_system() -> None:
    rng = np.random.default_rng(0)
    normal = _random_normal(rng)
    coupling = solver.Band((np.array([1.0, 5, 5, 1]), np.array([-2.0, -4, -2]), np.ones(2)),
                           np.array([0.5, 2.0, 0.0]))  # fmt: skip
    free = np.zeros((4, 3), bool)
    frame, shared = solver.step(normal, coupling, free, np.zeros((4, 3)), damping=0.0)
    matrix, gradient = _dense(normal, coupling)
    expected = -np.linalg.solve(matrix, gradient)
    assert np.append(frame.ravel(), shared) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_held_unknown_goes_to_its_wall_and_the_rest_makes_the_best_of_it() -> None:
    normal = _random_normal(np.random.default_rng(1))
    none = solver.Band((np.zeros(4), np.zeros(3), np.zeros(2)), np.ones(3))
    room = np.tile([[[-1e9]], [[1e9]]], (1, 4, 3))
    matrix, gradient = _dense(normal, none)
    free = -np.linalg.solve(matrix, gradient)
    room[1, 2, 0] = free[6] - 0.1  # the optimum of this unknown lies 0.1 beyond its bound
    if room[1, 2, 0] < 0:
        room[0, 2, 0] = -1e9
    frame, shared = solver.bounded_step(normal, none, room, damping=0.0)
    others = np.delete(np.arange(14), 6)
    right = gradient[others] + matrix[others, 6] * (free[6] - 0.1)
    expected = np.insert(-np.linalg.solve(matrix[np.ix_(others, others)], right), 6, free[6] - 0.1)
    assert np.append(frame.ravel(), shared) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_same_minimum_as_scipy() -> None:
    scene = toy(timesteps=1, cams=2, noise=1.0)
    problem, state = scene.problem, scene.truth
    problem.priors.outlier, problem.priors.sparse = 1e6, 0.0
    problem.reweight(state)
    free = Free(np.array([0, 1, 2, 3, 4, 5, 6, EXPR, EXPR + 1]), np.arange(3))

    def whitened(step: np.ndarray) -> np.ndarray:
        moved = problem.moved(state, free, step[None, :9], step[9:])
        residual = problem.project(moved, problem.in_cameras(moved)) - problem.points
        data = residual * np.sqrt(problem.confidence * problem.precision)[..., None]
        prior = np.concatenate(
            [
                moved.hinges[0, :1] / problem.priors.jaw,
                moved.expr[0, :2] / problem.priors.expr,
                moved.shape / problem.priors.shape,
            ]
        )
        return np.append(data.ravel(), prior)

    start = problem.moved(
        state, free, np.array([[0.1, -0.1, 0.1, 0.01, 0, -0.01, 0.1, -0.2, 0.1]]), -state.shape
    )
    solved = solver.solve(problem, start, free, 60)
    best = least_squares(whitened, np.zeros(12), xtol=1e-12, ftol=1e-12, gtol=1e-12)
    expected = problem.moved(state, free, best.x[None, :9], best.x[9:])
    assert problem.cost(solved) == pytest.approx(problem.cost(expected), rel=1e-3)
    assert solved.expr == pytest.approx(expected.expr, abs=0.02)
    assert solved.shape == pytest.approx(expected.shape, abs=0.05)


def test_exact_landmarks_give_the_truth_back() -> None:
    scene = toy(timesteps=6, cams=3, priors=FIRM)
    rng = np.random.default_rng(3)
    start = replace(
        scene.problem.initial(scene.truth.rotation, scene.truth.centre),
        rotation=scene.truth.rotation @ rotations.exp(0.1 * rng.normal(size=(6, 3))),
    )
    scene.problem.reweight(start)
    fixed = scene.problem.bounds[0] == scene.problem.bounds[1]
    moving = np.append(np.arange(6), 6 + np.flatnonzero(~fixed))
    solved = solver.solve(scene.problem, start, Free(moving, np.arange(3)), 60)
    turn = rotations.log(solved.rotation.swapaxes(1, 2) @ scene.truth.rotation)
    assert np.degrees(np.abs(turn)).max() < 0.3
    assert solved.shape == pytest.approx(scene.truth.shape, abs=0.15)
    assert solved.expr == pytest.approx(scene.truth.expr, abs=0.1)
    assert solved.hinges[:, 0] == pytest.approx(scene.truth.hinges[:, 0], abs=0.02)
    assert solved.hinges[:, 4] == pytest.approx(scene.truth.hinges[:, 4], abs=0.05)


def test_blendshapes_stay_in_their_box() -> None:
    scene = toy(timesteps=3, cams=2, noise=6.0, priors=FIRM)
    start = scene.problem.initial(scene.truth.rotation, scene.truth.centre)
    scene.problem.reweight(start)
    free = Free(np.append(np.arange(6), EXPR + np.arange(4)), NOTHING)
    solved = solver.solve(scene.problem, start, free, 20)
    assert solved.expr.min() >= 0
    assert solved.expr.max() <= 1
    assert (solved.expr == 0).any()  # with so much noise some must lie on the wall


def test_smoothness_calms_a_noisy_track() -> None:
    def roughness(smooth: float) -> float:
        priors = replace(FIRM, turn=smooth)
        scene = toy(timesteps=30, cams=1, noise=1.0, priors=priors)
        scene.problem.reweight(scene.truth)
        free = Free(np.arange(6), NOTHING)
        solved = solver.solve(scene.problem, scene.truth, free, 10)
        return float(np.abs(scene.problem.second_differences(solved)[:, :3]).mean())

    assert roughness(0.0005) < 0.5 * roughness(1.0)
