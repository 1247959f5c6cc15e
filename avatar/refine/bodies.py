"""Head and torso as two bodies: steps that move one of them and leave the other where it is.

The rig's parameters are a chain: its rotation turns torso and head together, so that its gradient
is mostly the head's, which shows more detail. A descent on these parameters leaves the torso turned
wrongly, and soft offsets deform the visible part of it instead.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.rig import HeadRig
from avatar.rig.head_rig import NECK, ROOT
from avatar.rig.rotations import axis_angle_to_matrix, skew

CHAIN = ("rotation", "translation", "neck_pose", "neck_shift")


def chain_jacobian(
    rig: HeadRig, shape: Float[Tensor, "S"], chain: dict[str, Float[Tensor, "B 3"]]
) -> Float[Tensor, "B 12 12"]:
    """Jacobian of the rig's parameters `CHAIN`, in that order, by motions of the two bodies.

    The columns are the torso's turn and shift, then the head's: turns (rad, world axes) are about
    the middle of each body, and shifts (m, world axes) are those of the middle.

    Args:
        chain: the parameters of `CHAIN` by name.
    """
    joints = rig.joints(shape)
    root, neck = joints[ROOT], joints[NECK]
    rest = rig.rest(shape, shape.new_zeros(rig.num_expr))
    carried = rig.skin_weights[:, ROOT]
    torso = axis_angle_to_matrix(chain["rotation"])
    head = torso @ axis_angle_to_matrix(chain["neck_pose"])
    middle = _middle(rest, carried)
    torso_arm = torso @ (middle - root)
    neck_arm = (torso @ (neck - middle + chain["neck_shift"])[..., None])[..., 0]
    head_arm = head @ (_middle(rest, 1 - carried) - neck)
    back = torso.mT
    eye = torch.eye(3, dtype=back.dtype, device=back.device).expand_as(back)
    none = torch.zeros_like(back)
    turn = left_jacobian_inverse(chain["neck_pose"]) @ back
    rows = [
        [left_jacobian_inverse(chain["rotation"]), none, none, none],
        [skew(torso_arm), eye, none, none],
        [-turn, none, turn, none],
        [back @ skew(neck_arm), -back, back @ skew(head_arm), back],
    ]
    return torch.cat([torch.cat(row, -1) for row in rows], -2)


def left_jacobian_inverse(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """How an axis-angle changes (rad) as its rotation is turned a little about the world's axes."""
    square = axis_angle.square().sum(-1)[..., None, None]
    small = square < 1e-4
    safe = torch.where(small, 1.0, square)
    angle = safe.sqrt()
    factor = torch.where(small, 1 / 12, 1 / safe - 0.5 / (angle * (angle / 2).tan()))
    cross = skew(axis_angle)
    eye = torch.eye(3, dtype=cross.dtype, device=cross.device)
    return eye - 0.5 * cross + factor * (cross @ cross)


def _middle(rest: Float[Tensor, "V 3"], share: Float[Tensor, "V"]) -> Float[Tensor, "3"]:
    """Mean of the vertices, weighted by the body's share of each; the origin if all are zero."""
    return share @ rest / share.sum().clamp(min=1e-6)
