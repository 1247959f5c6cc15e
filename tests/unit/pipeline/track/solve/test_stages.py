from dataclasses import replace

import numpy as np
import pytest

from pipeline.track.settings import Priors
from pipeline.track.solve import rotations, stages
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.problem import Problem
from tests.unit.pipeline.track.capture import toy

LOOSE = Priors(evidence=1.0, shape=3.0, expr=3.0, sparse=0.0, jaw=1.0, gaze=1.0, vergence=1.0)


def test_free_unknowns_of_a_stage() -> None:
    problem = toy(timesteps=2, cams=1).problem
    everything = stages.Stage("all", stages.EVERYTHING, 1)
    given = stages.free(everything, problem, known_focal=True)
    # Pose, two of the jaw, two of either eye (nothing rolls), four blendshapes.
    assert given.frame.tolist() == [*range(6), 6, 7, 9, 10, 12, 13, *range(EXPR, EXPR + 4)]
    assert given.shared.tolist() == [0, 1, 2]
    assert stages.free(everything, problem, known_focal=False).shared.tolist() == [0, 1, 2, 3]
    pose = stages.free(stages.Stage("pose", ("pose",), 1), problem, known_focal=False)
    assert pose.frame.tolist() == [*range(6)]
    assert len(pose.shared) == 0


def test_blinks_by_name() -> None:
    rig = toy(timesteps=1, cams=1).rig
    assert stages.blinks(rig) is None
    rig.expr_names = ["eyeBlinkRight", "x", "eyeBlinkLeft", "y"]
    assert stages.blinks(rig) == (2, 0)


def test_the_schedule_finds_identity_and_motion_from_noisy_landmarks() -> None:
    scene = toy(timesteps=70, cams=3, noise=0.5, priors=LOOSE)  # more than the keyframes
    rng = np.random.default_rng(5)
    off = rotations.exp(0.1 * rng.normal(size=(70, 3)))
    start = scene.problem.initial(scene.truth.rotation @ off, scene.truth.centre)
    found = stages.run(scene.problem, start, known_focal=True)
    assert found.zoom == 0
    assert found.shape == pytest.approx(scene.truth.shape, abs=0.2)
    turn = rotations.log(found.rotation.swapaxes(1, 2) @ scene.truth.rotation)
    assert np.degrees(np.linalg.norm(turn, axis=1)).mean() < 0.5
    for got, true in ((found.hinges[:, 0], scene.truth.hinges[:, 0]),
                      (found.hinges[:, 4], scene.truth.hinges[:, 4]),
                      (found.expr[:, 0], scene.truth.expr[:, 0])):  # fmt: skip
        assert np.corrcoef(got, true)[0, 1] > 0.95


def test_the_gaze_is_found_with_the_priors_of_one_camera() -> None:
    """With irises that spread by 2 mm; a tenth of it with a prior of 0.3 rad."""
    scene = toy(timesteps=40, cams=1, priors=Priors())
    start = scene.problem.initial(scene.truth.rotation, scene.truth.centre)
    found = stages.run(scene.problem, start, known_focal=True)
    for column in (4, 7):
        slope = np.polyfit(scene.truth.hinges[:, column], found.hinges[:, column], 1)[0]
        assert 0.6 < slope < 1.1


def test_principal_expressions_go_either_way_at_no_cost_of_sparseness() -> None:
    scene = toy(timesteps=12, cams=3)
    scene.rig.expr_names = [f"principal{number}" for number in range(4)]
    truth = replace(scene.truth, expr=3 * (scene.truth.expr - 0.5))
    priors, bounds = replace(LOOSE, sparse=50.0), stages.bounds(scene.rig)
    model, observed = scene.problem.model, scene.problem.observations
    problem = Problem(model, observed, priors, bounds, ease=stages.ease(scene.rig))
    problem.points = problem.project(truth, problem.in_cameras(truth))
    start = problem.initial(truth.rotation, truth.centre)
    found = stages.run(problem, start, known_focal=True)
    assert truth.expr.min() < -0.5
    assert np.abs(found.expr - truth.expr).mean() < 0.1 * np.abs(truth.expr).mean()


def test_a_wrong_focal_length_is_corrected_where_the_head_comes_near() -> None:
    scene = toy(timesteps=40, cams=1, priors=replace(LOOSE, focal=1.0))
    problem, truth = scene.problem, scene.truth
    near = truth.centre + [0, 0, 0.15] * np.sin(np.arange(40) / 12)[:, None]
    truth = replace(truth, centre=near, zoom=0.2)
    problem.points = problem.project(truth, problem.in_cameras(truth))
    start = problem.initial(truth.rotation, near)
    found = stages.run(problem, start, known_focal=False)
    assert found.zoom == pytest.approx(0.2, abs=0.08)


def test_learnt_bias_is_the_shrunken_mean_of_the_residuals() -> None:
    scene = toy(timesteps=4, cams=1, priors=Priors(evidence=1.0, bias=1.0, outlier=1e6))
    problem, truth = scene.problem, scene.truth
    problem.reweight(truth)
    depth = problem.in_cameras(truth)[:, :, :, 2:]
    problem.points = problem.points + np.array([0.003, 0.0]) / depth * 400  # 3 mm to the right
    bias = stages.learn_bias(problem, truth)
    full = problem.confidence.sum(0)[0] > 3.9  # four full votes against one of the prior: 4 / 5
    assert full.any()
    assert bias[0, full, 0] == pytest.approx(0.003 * 4 / 5, rel=0.02)
    assert bias[0, :, 1] == pytest.approx(0, abs=1e-9)


def test_what_landmarks_see_well_moves_freely_and_what_they_guess_hardly() -> None:
    rig = toy(timesteps=1, cams=1).rig
    rig.expr_names = ["eyeBlinkLeft", "cheekPuff", "mouthLeft", "mouthSmileRight"]
    assert stages.ease(rig).tolist() == [4.0, 0.1, 1.0, 2.0]


def test_ease_loosens_prior_and_smoothness_of_its_blendshape_alone() -> None:
    problem = toy(timesteps=3, cams=1).problem
    eased = Problem(
        problem.model, problem.observations, problem.priors, problem.bounds,
        ease=np.array([2.0, 1, 1, 1]),
    )  # fmt: skip
    ratio = problem.smooth_precision / eased.smooth_precision
    assert ratio.tolist() == [1.0] * EXPR + [4.0, 1.0, 1.0, 1.0]
    state = problem.initial(np.tile(np.eye(3), (3, 1, 1)), np.zeros((3, 3)))
    moved = replace(state, expr=np.tile([1.0, 0, 0, 0], (3, 1)))
    # Nothing is visible before weights are fixed, so that only the priors speak.
    gain = [p.cost(moved) - p.cost(state) - 3 * p.priors.sparse for p in (problem, eased)]
    assert gain[0] == pytest.approx(4 * gain[1])
