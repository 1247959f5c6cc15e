"""Cameras of viser's clients as ours, and the one that a client begins with."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from avatar.animate.loaded import HeadAvatar
from avatar.animate.views import DISTANCE, FIELD, head
from avatar.render import Views
from avatar.rig.rotations import quat_to_matrix


@dataclass(frozen=True)
class Eye:
    """A client's camera.

    Attributes:
        wxyz: rotation from the camera (OpenCV axes) to the world.
        position: metres, world.
        fov: vertical, rad.
        size: width and height of its canvas, pixels.
    """

    wxyz: tuple[float, float, float, float]
    position: tuple[float, float, float]
    fov: float
    size: tuple[int, int]


def views(eye: Eye, most: int) -> Views:
    """What a client sees, in at most so many pixels."""
    width, height = eye.size
    shrink = min(1.0, math.sqrt(most / (width * height)))
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    viewmat = torch.eye(4)
    viewmat[:3, :3] = quat_to_matrix(torch.tensor(eye.wxyz)).mT
    viewmat[:3, 3] = -viewmat[:3, :3] @ torch.tensor(eye.position)
    focal = height / 2 / math.tan(eye.fov / 2)
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Views(viewmat[None, None], K[None, None], width, height)


@dataclass(frozen=True)
class Start:
    """Where a client's camera begins, in the world: before the face, upright as the head is."""

    position: Float[np.ndarray, "3"]
    look_at: Float[np.ndarray, "3"]
    up: Float[np.ndarray, "3"]
    fov: float


def start(shown: HeadAvatar) -> Start:
    """The front camera of the subject."""
    centre, radius, axes = head(shown.rig, shown.recorded)
    position = centre + DISTANCE * radius * axes[:, 2]
    fov = 2 * math.atan(FIELD / DISTANCE)
    return Start(position.numpy(), centre.numpy(), axes[:, 1].numpy(), fov)


def field(across: float, size: tuple[int, int]) -> float:
    """The vertical field of view with which the shorter side of a canvas has the given one.

    Args:
        across: rad.
        size: width and height of the canvas.
    """
    width, height = size
    return 2 * math.atan(math.tan(across / 2) * max(1.0, height / width))
