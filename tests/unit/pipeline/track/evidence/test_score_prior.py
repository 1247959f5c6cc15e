from dataclasses import replace

import numpy as np
import pytest

from avatar.rig import HeadRig
from avatar.rig.arkit import ARKIT_NAMES, JAW_OPEN
from pipeline.track.evidence import score_prior
from pipeline.track.solve import solver
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.priors import PosePrior
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import HINGES, Free
from tests.unit.pipeline.track.capture import toy


def test_scores_become_expression_and_jaw(anny_rig: HeadRig) -> None:
    scores, known = np.zeros((2, 52)), np.zeros((2, 52), bool)
    for name, value in (("jawOpen", 0.5), ("mouthSmileLeft", 0.8), ("eyeLookUpLeft", 0.9)):
        scores[1, ARKIT_NAMES.index(name)] = value
        known[1, ARKIT_NAMES.index(name)] = True
    pose_prior = score_prior.pose_prior(anny_rig, scores, known)
    assert pose_prior is not None
    smile = 9 + list(anny_rig.expr_names).index("mouthSmileLeft")
    assert np.argwhere(pose_prior.precision).tolist() == [[1, 0], [1, smile]]  # no gaze
    assert pose_prior.values[1, 0] == pytest.approx(0.5 * JAW_OPEN)
    assert pose_prior.values[1, smile] == pytest.approx(0.8)
    assert score_prior.pose_prior(replace_names(anny_rig), scores, known) is None


def replace_names(rig: HeadRig) -> HeadRig:
    """A rig of the same kind whose expressions are not ARKit's."""
    other = HeadRig.__new__(HeadRig)
    other.__dict__.update(rig.__dict__)
    other.expr_names = [f"direction{number}" for number in range(rig.num_expr)]
    return other


def _with_score_prior(precision: float) -> tuple[Problem, float]:
    """A problem whose first action is said to be 0.9 at all times, and what it truly is."""
    scene = toy(timesteps=6, cams=2, noise=3.0)
    problem = scene.problem
    values = np.zeros((6, 9 + problem.model.num_expr))
    weight = np.zeros_like(values)
    values[:, 9], weight[:, 9] = 0.9, precision
    known = Problem(
        problem.model, problem.observations, problem.priors, problem.bounds,
        pose_prior=PosePrior(values, weight),
    )  # fmt: skip
    truth = scene.truth
    state = replace(
        problem.initial(truth.rotation, truth.centre), shape=truth.shape, hinges=truth.hinges
    )
    known.reweight(state)
    free = Free(np.arange(EXPR, EXPR + problem.model.num_expr), np.zeros(0, int))
    return known, float(solver.solve(known, state, free, 15).expr[:, 0].mean())


def test_a_belief_pulls_the_fit_its_way() -> None:
    got = [_with_score_prior(precision)[1] for precision in (0.0, 16.0, 1e3, 1e8)]
    assert got[0] < got[1] < got[2] < got[3]
    assert got[3] == pytest.approx(0.9, abs=1e-3)


def test_a_beliefs_gradient_is_the_costs_slope() -> None:
    problem, _ = _with_score_prior(50.0)
    scene = toy(timesteps=6, cams=2, noise=3.0)
    state = scene.truth
    problem.reweight(state)
    free = Free(np.arange(HINGES.start, EXPR + problem.model.num_expr), np.zeros(0, int))
    with_it = problem.linearise(state, free).frame_gradient[2, 9]
    less = Problem(problem.model, problem.observations, problem.priors, problem.bounds)
    less.reweight(state)
    without = less.linearise(state, free).frame_gradient[2, 9]
    assert with_it - without == pytest.approx(50 * (state.expr[2, 0] - 0.9))

    def slope(of: Problem) -> float:
        ends = []
        for step in (1e-4, -1e-4):
            expr = state.expr.copy()
            expr[2, 0] += step
            ends.append(of.cost(replace(state, expr=expr)))
        return (ends[0] - ends[1]) / 2e-4

    assert slope(problem) - slope(less) == pytest.approx(with_it - without, rel=1e-4)


def test_the_belief_follows_a_choice_of_timesteps() -> None:
    problem, _ = _with_score_prior(1.0)
    problem.pose_prior.values[3, 9] = 0.3
    assert problem.at(np.array([3, 5])).pose_prior.values[:, 9].tolist() == [0.3, 0.9]
