"""Rotations in numpy, batched: what a solver needs beside `avatar.rig.rotations`."""

import numpy as np
from jaxtyping import Float


def skew(vector: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 3 3"]:
    """The matrix of the cross product: `skew(a) @ b = a x b`."""
    matrix = np.zeros((*vector.shape, 3))
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    matrix[..., 0, 1], matrix[..., 0, 2], matrix[..., 1, 2] = -z, y, -x
    matrix[..., 1, 0], matrix[..., 2, 0], matrix[..., 2, 1] = z, -y, x
    return matrix


def exp(axis_angle: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 3 3"]:
    """Matrices of axis-angle vectors (radians), by Rodrigues' formula."""
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    cross = skew(axis_angle)
    # np.sinc(x) is sin(pi x) / (pi x), and (1 - cos a) / a^2 = sinc(a/2)^2 / 2: smooth at zero.
    sine, cosine = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi)) ** 2 / 2
    return np.eye(3) + sine * cross + cosine * (cross @ cross)


def log(matrix: Float[np.ndarray, "*B 3 3"]) -> Float[np.ndarray, "*B 3"]:
    """Axis-angle vectors (radians, length in 0..pi) of rotation matrices.

    By way of the unit quaternion, whose largest component is chosen for the division, so that
    half turns are as accurate as small ones (Shepperd 1978).
    """
    flat = matrix.reshape(-1, 3, 3)
    trace = np.trace(flat, axis1=1, axis2=2)
    # The four rows of 4 q q^T: any row is the quaternion (wxyz) times a number.
    outer = np.empty((len(flat), 4, 4))
    outer[:, 0, 0] = 1 + trace
    diagonal = np.diagonal(flat, axis1=1, axis2=2)
    outer[:, 1:, 1:] = flat + flat.transpose(0, 2, 1)
    outer[:, range(1, 4), range(1, 4)] = 1 - trace[:, None] + 2 * diagonal
    axial = np.stack(
        [
            flat[:, 2, 1] - flat[:, 1, 2],
            flat[:, 0, 2] - flat[:, 2, 0],
            flat[:, 1, 0] - flat[:, 0, 1],
        ],
        1,
    )
    outer[:, 0, 1:], outer[:, 1:, 0] = axial, axial
    best = np.einsum("nii->ni", outer).argmax(1)
    quats = outer[np.arange(len(flat)), best]
    quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    quats = np.where(quats[:, :1] < 0, -quats, quats)
    half = np.arctan2(np.linalg.norm(quats[:, 1:], axis=1), quats[:, 0])
    vectors = quats[:, 1:] * (2 / np.sinc(half / np.pi))[:, None]
    return vectors.reshape(*matrix.shape[:-2], 3)


def left_jacobian(axis_angle: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 3 3"]:
    """`J` with `exp(a + d) = exp(J d) exp(a)` to first order.

    Source: Barfoot, State Estimation for Robotics, eq. 7.77.
    """
    square = (axis_angle**2).sum(-1)[..., None, None]
    small = square < 1e-8
    angle = np.sqrt(np.where(small, 1.0, square))
    first = np.where(small, 0.5 - square / 24, (1 - np.cos(angle)) / angle**2)
    second = np.where(small, 1 / 6 - square / 120, (angle - np.sin(angle)) / angle**3)
    cross = skew(axis_angle)
    return np.eye(3) + first * cross + second * (cross @ cross)


def slerp(
    start: Float[np.ndarray, "*B 3 3"],
    stop: Float[np.ndarray, "*B 3 3"],
    share: Float[np.ndarray, "*B"],
) -> Float[np.ndarray, "*B 3 3"]:
    """The rotation `share` of the way from `start` to `stop`, by the shortest way."""
    return start @ exp(share[..., None] * log(np.swapaxes(start, -1, -2) @ stop))
