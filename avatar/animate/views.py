"""Cameras that look at an avatar: from the front, or swinging around it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.animate.motion import resting
from avatar.render import Views
from avatar.rig import HeadRig, RigParams
from avatar.rig.rotations import axis_angle_to_matrix

DISTANCE = 8.0  # from the camera to the head, in radii of the head: little perspective
FIELD = 1.75  # half of the shorter side of the image, in radii of the head
SWING, PERIOD = math.radians(30), 6.0  # of `orbit`: to either side; seconds from left to left


def front(rig: HeadRig, params: RigParams, width: int, height: int, count: int = 1) -> Views:
    """The camera before the face in its mean pose, `count` times: `Views` of T timesteps."""
    return _around(rig, params, torch.zeros(count), width, height)


def orbit(
    rig: HeadRig, params: RigParams, width: int, height: int, time: Float[Tensor, "T"]
) -> Views:
    """A camera that swings around the head from side to side.

    Args:
        time: seconds of each timestep.
    """
    angles = SWING * torch.sin(time * (2 * math.pi / PERIOD))
    return _around(rig, params, angles, width, height)


def _around(
    rig: HeadRig, params: RigParams, angles: Float[Tensor, "T"], width: int, height: int
) -> Views:
    """Cameras about the head's vertical axis; positive angles show the subject's left."""
    centre, radius, axes = head(rig, params)
    about = torch.zeros(len(angles), 3)
    about[:, 1] = angles
    # Columns of the head's axes are left, up and forward; the camera's are right, down, forward.
    turned = axes @ axis_angle_to_matrix(about)
    rows = turned.mT * torch.tensor([1.0, -1.0, -1.0])[:, None]
    viewmats = torch.eye(4).repeat(len(angles), 1, 1)
    viewmats[:, :3, :3] = rows
    viewmats[:, :3, 3] = -(rows @ centre)
    viewmats[:, 2, 3] += DISTANCE * radius
    focal = DISTANCE / FIELD * min(width, height) / 2
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Views(viewmats[:, None], K.expand(len(angles), 1, 3, 3), width, height)


def head(rig: HeadRig, params: RigParams) -> tuple[Float[Tensor, "3"], float, Float[Tensor, "3 3"]]:
    """Centre (m), radius (m) and axes of the head in its mean pose."""
    rest = resting(params)
    verts = rig(
        shape=params.shape,
        static_offset=params.static_offset,
        **{name: value[None] for name, value in rest.items()},
    )[0]
    above = verts[~rig.masks["neck"]]
    centre = (above.amin(0) + above.amax(0)) / 2
    radius = float((above - centre).norm(dim=1).max())
    root, neck = (axis_angle_to_matrix(rest[name]) for name in ("rotation", "neck_pose"))
    return centre, radius, root @ neck
