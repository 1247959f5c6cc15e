import numpy as np
import torch

from avatar.rig import rotations


def random_vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_quarter_turn_by_hand():
    turn = rotations.axis_angle_to_matrix(torch.tensor([0.0, 0.0, np.pi / 2]))
    torch.testing.assert_close(turn @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_matrices_are_rotations_and_quaternions_agree():
    matrix = rotations.axis_angle_to_matrix(2 * random_vectors(50, 3))
    eye = torch.eye(3, dtype=torch.float64).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.mT, eye)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(50, dtype=torch.float64))
    quats = rotations.matrix_to_quat(matrix)
    torch.testing.assert_close(rotations.quat_to_matrix(quats), matrix)


def test_half_turns_have_finite_quaternions():
    for axis in np.eye(3):
        matrix = rotations.axis_angle_to_matrix(torch.tensor(np.pi * axis, dtype=torch.float64))
        quat = rotations.matrix_to_quat(matrix)
        torch.testing.assert_close(rotations.quat_to_matrix(quat), matrix)


def test_axis_angles_of_matrices_are_those_they_were_made_of():
    vectors = 0.5 * random_vectors(50, 3)
    for size in (1.0, 1e-3, 1e-9, 0.0):
        matrices = rotations.axis_angle_to_matrix(size * vectors)
        found = rotations.matrix_to_axis_angle(matrices)
        torch.testing.assert_close(found, size * vectors, atol=1e-8, rtol=1e-6)


def test_the_mean_of_opposite_turns_lies_between_them():
    turns = torch.tensor([[0.0, 0.3, 0.0], [0.0, -0.1, 0.0]], dtype=torch.float64)
    mean = rotations.mean_rotation(rotations.axis_angle_to_matrix(turns))
    expected = rotations.axis_angle_to_matrix(torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64))
    torch.testing.assert_close(mean, expected)


def test_product_is_composition():
    a, b = random_vectors(2, 20, 4)
    product = rotations.quat_to_matrix(rotations.quat_multiply(a, b))
    expected = rotations.quat_to_matrix(a) @ rotations.quat_to_matrix(b)
    torch.testing.assert_close(product, expected)


def test_gradients_also_through_zero():
    values = random_vectors(4, 3)
    values[0] = 0
    values[1] *= 1e-5
    assert torch.autograd.gradcheck(
        rotations.axis_angle_to_matrix, values.requires_grad_(), atol=1e-4
    )
    quats = random_vectors(5, 4).requires_grad_()
    assert torch.autograd.gradcheck(rotations.quat_to_matrix, quats)


def test_skew_is_the_cross_product():
    a, b = random_vectors(2, 7, 3)
    product = (rotations.skew(a) @ b[..., None]).squeeze(-1)
    torch.testing.assert_close(product, torch.linalg.cross(a, b))
