from dataclasses import replace

import numpy as np
import pytest

from pipeline.track.solve import initial, rotations
from tests.unit.pipeline.track.capture import toy


def test_the_mean_heads_pose_is_found() -> None:
    scene = toy(timesteps=3, cams=2)
    problem, truth = scene.problem, scene.truth
    rest = problem.initial(truth.rotation, truth.centre)
    points = problem.project(rest, problem.in_cameras(rest))
    observed = replace(problem.observations, points=points)
    rotation, centre, placed = initial.head_poses(problem.model, observed)
    assert placed.all()
    assert rotation == pytest.approx(truth.rotation, abs=1e-4)
    assert centre == pytest.approx(truth.centre, abs=1e-5)


def test_one_mistaken_camera_is_outvoted() -> None:
    scene = toy(timesteps=1, cams=3)
    rest = scene.problem.initial(scene.truth.rotation, scene.truth.centre)
    points = scene.problem.project(rest, scene.problem.in_cameras(rest))
    observed = scene.problem.observations
    points[0, 0] = 30 + 0.5 * points[0, 0]  # a smaller face elsewhere
    rotation, _, placed = initial.head_poses(scene.problem.model, replace(observed, points=points))
    assert placed.all()
    assert np.degrees(np.abs(rotations.log(rotation[0].T @ scene.truth.rotation[0]))).max() < 0.1


def test_what_no_camera_sees_is_not_placed() -> None:
    scene = toy(timesteps=3, cams=2)
    seen = np.array([[True, True], [False, False], [False, True]])
    observed = replace(scene.problem.observations, seen=seen)
    _, _, placed = initial.head_poses(scene.problem.model, observed)
    assert placed.tolist() == [True, False, True]


def test_a_head_seen_from_behind_is_refused() -> None:
    scene = toy(timesteps=1, cams=1)
    turned = scene.truth.rotation @ rotations.exp(np.array([0, np.pi, 0]))
    state = scene.problem.initial(turned, scene.truth.centre)
    points = scene.problem.project(state, scene.problem.in_cameras(state))
    observed = replace(scene.problem.observations, points=points)
    assert not initial.head_poses(scene.problem.model, observed)[2].any()
