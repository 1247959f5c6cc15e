from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from avatar.rig import HeadRig
from benchmarks import held_out_yaw as bench
from pipeline.demo import motion
from pipeline.demo.studio import make_cameras
from pipeline.track.solve import rotations
from tests.rigs import toy_rig

TRAINING = np.arange(bench.FRAMES) < 210


def turned(*degrees: float) -> np.ndarray:
    """Rotations about the y axis."""
    return rotations.exp(np.radians([[0.0, angle, 0.0] for angle in degrees]))


def test_the_head_turns_far_only_where_it_is_held_out() -> None:
    params = motion.perform(toy_rig(), bench.FRAMES, bench.script())
    yaws = bench.yaw(params)
    assert np.abs(yaws[TRAINING]).max() < 10.1
    assert 44 < yaws[~TRAINING].max() < 46
    assert -46 < yaws[~TRAINING].min() < -44
    assert np.abs(np.diff(yaws)).max() < 4
    assert not params.rotation.any()
    assert not params.translation.any()
    assert {name: int(chosen.sum()) for name, chosen in
            bench.kinds(yaws, TRAINING, ~TRAINING).items()} == {
        "training": 210, "held out, all": 90, "held out, near": 33, "held out, far": 40
    }  # fmt: skip


def test_held_out_expressions_are_those_of_training(anny_rig: HeadRig) -> None:
    params = motion.perform(anny_rig, bench.FRAMES, bench.script())
    seen, held = params.expr[TRAINING].amax(0), params.expr[~TRAINING].amax(0)
    assert float(held.max()) > 0.8
    assert float((held - seen).max()) < 0.05


def test_a_track_is_repeated_between_the_times() -> None:
    assert bench.repeated([(0, 1), (0.5, 2)], [0, 0.2, 1]) == [
        (0, 1), (0.1, 2), (0.2, 1), (pytest.approx(0.6), 2)
    ]  # fmt: skip


def test_degrees_from_the_nearest_training_pose_by_hand() -> None:
    training = np.array([True, True, False, False])
    found = bench.distances(turned(-10, 10, 4, 45), training)
    np.testing.assert_allclose(found, [0, 0, 6, 35], atol=1e-6)


def test_a_constant_turn_of_the_rig_is_no_error() -> None:
    true = turned(-5, 0, 5, 40)
    training = np.array([True, True, True, False])
    constant = rotations.exp(np.array([0.1, 0.0, 0.2]))
    np.testing.assert_allclose(bench.turn_errors(true @ constant, true, training), 0, atol=1e-6)
    got = turned(-5, 0, 5, 33) @ constant
    found = bench.turn_errors(got, true, training)
    np.testing.assert_allclose(found, [0, 0, 0, 7], atol=1e-6)


def test_shifts_by_hand() -> None:
    true = np.zeros((3, 2, 2))
    got = true + np.array([[7.0, 1.0], [2.0, 2.0]])  # constant: clothes are thicker than the rig
    got[2, 0] += (3, 4)
    found = bench.shifts(got, true, np.array([True, True, False]))
    np.testing.assert_allclose(found, [0, 0, 2.5])


def test_holes_by_hand() -> None:
    alpha = np.array([[0.0, 0.4, 0.6, 1.0]])
    assert bench.holes(alpha, np.array([[False, True, True, True]])) == pytest.approx(1 / 3)


def test_a_torso_that_follows_the_head_is_measured(anny_rig: HeadRig) -> None:
    params = motion.perform(anny_rig, bench.FRAMES, bench.script())
    cameras = make_cameras(1, 256)
    true = bench.posed(anny_rig, params, cameras)
    exact = bench.measure_track(anny_rig, true, true, TRAINING)
    assert exact[["head", "torso", "shift"]].max().max() < 1e-4
    assert exact.distance[TRAINING].max() < 1e-4
    share = 0.5 * params.neck_pose * torch.from_numpy(~TRAINING)[:, None]
    half = replace(params, rotation=share, neck_pose=params.neck_pose - share)
    found = bench.measure_track(anny_rig, bench.posed(anny_rig, half, cameras), true, TRAINING)
    assert found["head"].max() < 1e-3
    assert found["torso"][248] == pytest.approx(22.5, abs=0.1)
    assert found["shift"][248] > 5
    assert found["shift"][TRAINING].max() < 1e-4


def test_table_by_hand() -> None:
    columns = ("distance", "full", "mask", "face", "head", "torso", "shift", "holes")
    frames = pd.DataFrame({name: [1.0, 3.0, 9.0] for name in columns})
    frames["full"], frames["mask"] = [30.0, 25.0, 23.0], [29.0, 25.0, 21.5]
    rows = {
        name: np.array(chosen)
        for name, chosen in {
            "training": [1, 0, 0], "held out, all": [0, 1, 1], "held out, near": [0, 1, 0],
            "held out, far": [0, 0, 1],
        }.items()
    }  # fmt: skip
    text = bench.table(frames, {name: chosen == 1 for name, chosen in rows.items()})
    lines = text.splitlines()
    assert lines[3] == "| held out, all | 2 | 6.0 | 24.00 | 23.25 | 6.00 | 6.0 | 6.0 | 6.0 | 6.00 |"
    assert lines[-1].startswith("Lost from near to far: 2.00 dB, mask 3.50 dB (target: at most 3.0")
    assert lines[-1].endswith("missed).")
