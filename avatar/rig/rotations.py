"""Rotations: axis-angle (radians), quaternions (wxyz) and matrices."""

import torch
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices by Rodrigues' formula, smooth (and differentiable) through zero.

    Args:
        axis_angle: unit axis times angle in radians.
    Returns:
        Matrices that rotate column vectors.
    """
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = square < 1e-8
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - square / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / safe)
    cross = skew(axis_angle)
    eye = torch.eye(3, dtype=cross.dtype, device=cross.device)
    return eye + sine * cross + cosine * (cross @ cross)


def skew(vector: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The matrix of the cross product: `skew(a) @ b = a x b`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)


def quat_to_matrix(quats: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of quaternions (wxyz), which need not have unit length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*w.shape, 3, 3)


def matrix_to_quat(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4"]:
    """Unit quaternions (wxyz) of rotation matrices, by the largest of the four components.

    Source: the four candidate forms of Shepperd (1978); the choice of the largest keeps the
    division away from zero, and the gradient finite.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    squares = torch.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )
    candidates = torch.stack(
        [
            torch.stack([squares[..., 0], m21 - m12, m02 - m20, m10 - m01], -1),
            torch.stack([m21 - m12, squares[..., 1], m10 + m01, m02 + m20], -1),
            torch.stack([m02 - m20, m10 + m01, squares[..., 2], m12 + m21], -1),
            torch.stack([m10 - m01, m02 + m20, m12 + m21, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)


def matrix_to_axis_angle(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Axis-angle vectors (radians, length in 0..pi) of rotation matrices; no gradient at zero."""
    quats = matrix_to_quat(matrix)
    quats = torch.where(quats[..., :1] < 0, -quats, quats)
    length = quats[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, quats[..., :1])
    small = length < 1e-6
    ratio = torch.where(small, 2.0, angle / torch.where(small, 1.0, length))
    return ratio * quats[..., 1:]


def mean_rotation(matrices: Float[Tensor, "N 3 3"]) -> Float[Tensor, "3 3"]:
    """The rotation with the least sum of squared (Frobenius) distances to those given."""
    u, _, vh = torch.linalg.svd(matrices.sum(0))
    sign = torch.linalg.det(u @ vh).sign()
    return u @ torch.diag(torch.stack([sign.new_ones(()), sign.new_ones(()), sign])) @ vh


def quat_multiply(a: Float[Tensor, "*B 4"], b: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """Hamilton product `a (x) b` of quaternions (wxyz): first rotate by `b`, then by `a`."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )
