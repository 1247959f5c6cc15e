import numpy as np
import pytest

from pipeline.track.solve import rotations

QUARTER_ABOUT_Z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def test_exp_of_a_quarter_turn_about_z() -> None:
    assert rotations.exp(np.array([0, 0, np.pi / 2])) == pytest.approx(QUARTER_ABOUT_Z)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 3.0, np.pi - 1e-7])
def test_log_undoes_exp(angle: float) -> None:
    axis = np.array([2.0, -1, 2]) / 3
    assert rotations.log(rotations.exp(axis * angle)) == pytest.approx(axis * angle, abs=1e-8)


def test_log_of_a_half_turn_has_length_pi() -> None:
    vector = rotations.log(np.diag([-1.0, 1, -1]))
    assert np.abs(vector) == pytest.approx([0, np.pi, 0])


@pytest.mark.parametrize("size", [0.0, 1e-5, 0.7, 2.5])
def test_left_jacobian_is_the_derivative_of_exp(size: float) -> None:
    vector, step = size * np.array([0.6, 0.0, -0.8]), 1e-6
    jacobian = rotations.left_jacobian(vector)
    for axis in np.eye(3):
        turned = rotations.exp(vector + step * axis) @ rotations.exp(vector).T
        assert rotations.log(turned) / step == pytest.approx(jacobian @ axis, abs=1e-5)


def test_slerp_of_a_quarter_turn_at_one_third_is_thirty_degrees() -> None:
    third = rotations.slerp(np.eye(3)[None], QUARTER_ABOUT_Z[None], np.array([1 / 3]))
    assert rotations.log(third[0]) == pytest.approx([0, 0, np.pi / 6])
