import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.data.layout import Tables
from pipeline.track.solve import rotations, timeline
from pipeline.track.solve.model import LandmarkModel
from tests.unit.pipeline.track.capture import Toy, toy


def _turns(degrees: list[float]) -> np.ndarray:
    angles = np.radians(degrees)
    return rotations.exp(np.stack([0 * angles, angles, 0 * angles], 1))


def _yaw(turns: np.ndarray) -> np.ndarray:
    return np.degrees(rotations.log(turns)[:, 1])


def test_gaps_are_bridged_in_time_ends_are_held() -> None:
    truth = toy(timesteps=2, cams=1).truth
    expr = np.array([[0.0, 0, 0, 0], [0.8, 0, 0, 0]])
    state = replace(truth, rotation=_turns([10, 40]), expr=expr)
    valid = np.array([False, True, False, False, True, False])
    time = np.array([0.0, 1, 2, 4, 5, 6])
    whole = timeline.bridge(state, valid, np.zeros(6, int), time)
    assert _yaw(whole.rotation) == pytest.approx([10, 10, 17.5, 32.5, 40, 40])
    assert whole.expr[:, 0] == pytest.approx([0, 0, 0.2, 0.6, 0.8, 0.8])


def test_nothing_is_bridged_from_one_sequence_to_the_next() -> None:
    truth = toy(timesteps=2, cams=1).truth
    state = replace(truth, rotation=_turns([0, 90]))
    valid = np.array([True, False, False, True])
    whole = timeline.bridge(state, valid, np.array([0, 0, 1, 1]), np.array([0.0, 1, 0, 1]))
    assert _yaw(whole.rotation) == pytest.approx([0, 0, 90, 90])


def test_a_sequence_without_a_face_takes_the_nearest_pose() -> None:
    truth = toy(timesteps=2, cams=1).truth
    state = replace(truth, rotation=_turns([0, 90]))
    valid = np.array([True, False, False, False, True])
    clip = np.array([0, 1, 1, 2, 2])
    whole = timeline.bridge(state, valid, clip, np.array([0.0, 0, 1, 0, 1]))
    assert set(_yaw(whole.rotation).round().tolist()) <= {0.0, 90.0}
    assert _yaw(whole.rotation)[[0, 3, 4]] == pytest.approx([0, 90, 90])


def _above_neck(scene: Toy) -> np.ndarray:
    rig = scene.rig
    assert rig.landmarks is not None
    return (rig.skin_weights[rig.faces[rig.landmarks.faces], 0] == 0).all(1).numpy()


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_the_rigs_parameters_put_the_landmarks_where_the_solver_had_them(angle: float) -> None:
    scene = toy(timesteps=5, cams=2)
    rig, problem, truth = scene.rig, scene.problem, scene.truth
    tables = Tables(
        ["0"], np.array([[8, 8]]), np.full(5, "main"), np.arange(5), np.arange(5) / 30,
        np.zeros(5, int), np.arange(5),
    )  # fmt: skip
    zero = np.zeros((rig.num_verts, 3))
    nod = angle * np.sin(np.arange(15).reshape(5, 3))
    params = timeline.rig_params(rig, problem.model, truth, zero, nod, np.ones(5, bool), tables)
    poses = {name: value.double() for name, value in params.poses(torch.arange(5)).items()}
    assert rig.landmarks is not None
    got = rig.landmarks.points(rig(**poses), rig.faces).numpy()
    expected = problem.head(truth) - problem.model.pivot
    expected = expected @ truth.rotation.swapaxes(1, 2) + truth.centre[:, None]
    # What is skinned to the root as well follows the torso a little when the neck turns.
    above = scene.problem.points.shape[2] * [True] if angle == 0 else _above_neck(scene)
    assert got[:, above] == pytest.approx(expected[:, above], abs=1e-6)
    assert params.neck_pose.numpy() == pytest.approx(nod, abs=1e-6)


def test_a_turning_neck_leaves_the_head_where_it_was() -> None:
    scene = toy(timesteps=5, cams=2)
    rig = scene.rig
    tables = Tables(
        ["0"], np.array([[8, 8]]), np.full(5, "main"), np.arange(5), np.arange(5) / 30,
        np.zeros(5, int), np.arange(5),
    )  # fmt: skip
    zero = np.zeros((rig.num_verts, 3))

    def posed(nod: np.ndarray) -> torch.Tensor:
        params = timeline.rig_params(
            rig, scene.problem.model, scene.truth, zero, nod, np.ones(5, bool), tables
        )
        return rig(**{k: v.double() for k, v in params.poses(torch.arange(5)).items()})

    moved = (posed(0.4 * np.cos(np.arange(15).reshape(5, 3))) - posed(np.zeros((5, 3)))).abs()
    head = rig.skin_weights[:, 0] == 0
    assert float(moved[:, head].max()) < 1e-7
    assert float(moved[:, ~head].max()) > 0.001


def test_a_state_comes_back_from_the_rigs_parameters() -> None:
    """With a static offset and a neck that turns: the landmarks are where the rig puts them."""
    scene = toy(timesteps=5, cams=2)
    rig, time = scene.rig, np.arange(5) / 30
    offset = 0.003 * np.sin(30 * rig.v_template.numpy())
    names = np.array(["main"] * 5)
    tables = Tables(
        ["0"], np.array([[4, 4]]), names, np.arange(5), time, np.zeros(5, int), np.arange(5)
    )
    valid = np.ones(5, bool)
    nod = 0.3 * np.sin(np.arange(15).reshape(5, 3))
    params = timeline.rig_params(rig, scene.problem.model, scene.truth, offset, nod, valid, tables)
    params.neck_shift[:] = torch.tensor([0.004, 0.01, -0.02])  # as another program may give it
    shaped = copy.deepcopy(rig)
    shaped.v_template = rig.v_template + params.static_offset
    model = LandmarkModel(shaped)
    state = timeline.solver_state(model, params, 2)
    got = model.points(state.shape, state.expr, state.hinges).swapaxes(1, 2) - model.pivot
    got = got @ state.rotation.swapaxes(1, 2) + state.centre[:, None]
    verts = rig(**{name: value.double() for name, value in params.poses(torch.arange(5)).items()})
    assert rig.landmarks is not None
    expected = rig.landmarks.points(verts, rig.faces).numpy()
    above = _above_neck(scene)
    np.testing.assert_allclose(got[:, above], expected[:, above], atol=1e-6)
