import numpy as np
import pytest

from avatar.rig import HeadRig
from pipeline.demo import motion
from tests.rigs import toy_rig


def test_curves_pass_their_keyframes_and_do_not_overshoot() -> None:
    track = [(0.0, 0.0), (0.2, 1.0), (0.3, 1.0), (0.3, 1.0), (1.0, -2.0)]
    times = np.linspace(0, 1, 101)
    values = motion._curve(track, times)
    np.testing.assert_allclose(values[[0, 20, 30, 100]], [0, 1, 1, -2], atol=1e-12)
    assert values.max() <= 1
    assert (np.diff(values[30:]) <= 0).all()


def test_a_pulse_rises_to_its_strength_and_back() -> None:
    assert motion._pulses((0.5, 0.8, 0.1)) == [(0, 0), (0.4, 0), (0.5, 0.8), (0.6, 0), (1, 0)]


def test_timesteps_of_all_sequences_in_order() -> None:
    params = motion.perform(toy_rig(), 3)
    assert params.sequence.tolist() == ["a_talk"] * 3 + ["b_faces"] * 3
    assert params.index.tolist() == [0, 1, 2] * 2
    np.testing.assert_allclose(params.time, [0, 0.04, 0.08] * 2)
    # The first keyframes of a_talk: pitch 2 degrees, neither yaw nor roll.
    assert params.rotation[0].tolist() == pytest.approx([np.radians(2), 0, 0], abs=1e-6)


def test_another_script_leaves_out_what_it_does_not_move() -> None:
    script = motion.Script({"main": {"neck_roll": [(0, 0), (1, 20)]}}, sway=0.0)
    params = motion.perform(toy_rig(), 3, script)
    assert params.sequence.tolist() == ["main"] * 3
    np.testing.assert_allclose(np.degrees(params.neck_pose), [[0, 0, 0], [0, 0, 10], [0, 0, 20]])
    assert not params.rotation.any()
    assert not params.translation.any()


def test_held_out_sequence_shows_new_expressions(anny_rig: HeadRig):
    params = motion.perform(anny_rig, 60)
    seen, held_out = (
        {n for n, v in zip(anny_rig.expr_names, params.expr[rows].T, strict=True) if v.max() > 0.3}
        for rows in (slice(0, 60), slice(60, 120))
    )
    assert {"mouthFrownLeft", "noseSneerRight", "mouthStretchLeft"} <= held_out - seen
    assert {"eyeBlinkLeft", "mouthPucker", "browInnerUp"} <= held_out & seen
    assert float(params.expr.min()) >= 0
    assert float(params.expr.max()) <= 1
    speed = params.rotation[:60].diff(dim=0).norm(dim=1).max()
    assert float(speed) < np.radians(5), "moves smoothly"
    assert float(params.jaw_pose[:, 0].max()) > 0.25
