"""The frame of every triangle, which carries the Gaussians bound to it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.rig.rotations import matrix_to_quat, quat_multiply

_TINY = 1e-12  # m; a collapsed edge has no direction, and its normal is zero rather than NaN


@dataclass(frozen=True)
class FaceFrames:
    """Origin, rotation and size of F faces, at one timestep or a batch of them.

    Attributes:
        origin: centroid, metres, world frame.
        rotation: columns are the first edge's direction, the normal, and their third axis.
        quat: the same rotation, wxyz.
        scale: mean of the first edge's length and of the height over it, metres.
    """

    origin: Float[Tensor, "*B F 3"]
    rotation: Float[Tensor, "*B F 3 3"]
    quat: Float[Tensor, "*B F 4"]
    scale: Float[Tensor, "*B F"]


def face_frames(verts: Float[Tensor, "*B V 3"], faces: Int[Tensor, "F 3"]) -> FaceFrames:
    """The frames of all faces of a posed mesh.

    `a0 = norm(v1-v0)`, `a1 = norm(a0 x (v2-v0))`, `a2 = -norm(a1 x a0)`, `R = [a0 a1 a2]`,
    `k = (|v1-v0| + |a2.(v2-v0)|) / 2`, origin at the centroid. Source: Qian et al.,
    "GaussianAvatars", 2024, section 3.1, with the axes as in their published figures.

    Args:
        verts: metres, world frame.
        faces: vertex indices.
    """
    # index_select: its gradient is several times cheaper than that of indexing by a matrix.
    corners = verts.index_select(-2, faces.reshape(-1)).unflatten(-2, (-1, 3))
    v0, v1, v2 = corners.unbind(-2)
    edge, side = v1 - v0, v2 - v0
    length = edge.norm(dim=-1)
    a0 = edge / length.clamp(min=_TINY)[..., None]
    normal = torch.linalg.cross(a0, side)
    height = normal.norm(dim=-1)  # a0 has length one: this is |a2 . side|
    a1 = normal / height.clamp(min=_TINY)[..., None]
    a2 = -torch.linalg.cross(a1, a0)
    rotation = torch.stack([a0, a1, a2], -1)
    return FaceFrames(corners.mean(-2), rotation, matrix_to_quat(rotation), (length + height) / 2)


def to_world(
    means_local: Float[Tensor, "*#B N 3"], binding: Int[Tensor, "N"], frames: FaceFrames
) -> Float[Tensor, "*B N 3"]:
    """Carry Gaussian centres from their triangle's frame to world space.

    Args:
        means_local: centres in units of the face's scale (dimensionless).
        binding: face index of each Gaussian.
        frames: origin (m), rotation and scale (m) of every face.
    Returns:
        Centres in metres, world frame: `k R mean_local + origin`.
    """
    scaled = frames.rotation * frames.scale[..., None, None]
    turned = (scaled.index_select(-3, binding) @ means_local[..., None]).squeeze(-1)
    return turned + frames.origin.index_select(-2, binding)


def carry_to_world(
    verts: Float[Tensor, "*B V 3"],
    faces: Int[Tensor, "F 3"],
    binding: Int[Tensor, "N"],
    means_local: Float[Tensor, "*#B N 3"],
    log_scales: Float[Tensor, "N 3"],
    quats_local: Float[Tensor, "N 4"],
) -> tuple[Float[Tensor, "*B N 3"], Float[Tensor, "*B N 4"], Float[Tensor, "*B N 3"]]:
    """World means (m), quaternions (wxyz) and scales (m), on any device and in any precision.

    Args:
        verts: metres, world frame.
        faces: vertex indices.
        binding: face of each Gaussian.
        means_local, log_scales, quats_local: as in `RiggedGaussians`; means shared by the batch
            or each timestep's own.
    """
    frames = face_frames(verts, faces)
    size = frames.scale.index_select(-1, binding)[..., None]
    turn = frames.quat.index_select(-2, binding)
    return (
        to_world(means_local, binding, frames),
        quat_multiply(turn, quats_local.expand_as(turn)),
        size * log_scales.exp(),
    )
