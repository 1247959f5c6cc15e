from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.data.reader import FrameStore
from pipeline.detect.landmarks import Detections
from pipeline.track.solve import joint_fit
from pipeline.track.solve.held_out import WORDS, HeldOut
from tests.unit.pipeline.track.capture import toy, write_store

STEPS, CAMERAS = 10, 4


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    write_store(
        tmp_path / "frames.h5", [np.zeros((4, 4, 3), np.uint8)] * STEPS * CAMERAS, CAMERAS, STEPS
    )
    with FrameStore(tmp_path / "frames.h5") as opened:
        yield opened


@pytest.mark.fault("4.7")
def test_what_each_setting_holds_out(store: FrameStore) -> None:
    every = np.ones(STEPS * CAMERAS, bool)
    held = {setting: HeldOut.by(setting, store, every) for setting in WORDS}
    assert {setting: part.camera for setting, part in held.items()} == {
        "none": -1, "camera": 2, "sequence": -1,
    }  # fmt: skip
    assert held["sequence"].timesteps.tolist() == [False] * 7 + [True] * 3
    assert not held["camera"].timesteps.any()


def test_the_held_out_camera_sees_nothing(store: FrameStore) -> None:
    found = Detections(np.ones((40, 478, 2), np.float32), np.ones(40, bool))
    seen = HeldOut(2, np.zeros(STEPS, bool)).unseen(found, store.camera)
    assert (seen.found == (store.camera != 2)).all()
    assert not seen.outliers.any()


@pytest.mark.fault("4.7")
def test_held_out_timesteps_do_not_change_identity_and_focal_length() -> None:
    """Their landmarks are replaced by another head's: only their motion may follow."""
    scene = toy(timesteps=10, cams=2)
    observed, rig = scene.problem.observations, scene.rig
    held = HeldOut(-1, np.arange(10) >= 7)
    other = observed.points.copy()
    middle = other[7:].mean(2, keepdims=True)
    other[7:] = middle + (other[7:] - middle) * [1.2, 0.9]

    def fit(points: np.ndarray, held: HeldOut) -> joint_fit.Fit:
        given = replace(observed, points=points)
        model, priors = scene.problem.model, scene.problem.priors
        return joint_fit.by_landmarks(rig, model, given, True, priors, held=held)

    before, after = fit(observed.points, held), fit(other, held)
    np.testing.assert_array_equal(before.state.shape, after.state.shape)
    np.testing.assert_array_equal(before.state.bias, after.state.bias)
    assert np.abs(before.state.centre[8] - after.state.centre[8]).max() > 1e-4
    changed = fit(other, HeldOut.nothing(10))
    assert np.abs(changed.state.shape - after.state.shape).max() > 0.05


def test_everything_held_out_is_nothing_held_out() -> None:
    assert HeldOut(-1, np.ones(4, bool)).training(np.ones(4, bool)) is None
    assert HeldOut(-1, np.arange(4) > 2).training(np.arange(4) > 0).tolist() == [0, 1]
