"""What the controls of a viewer say, and the pose that it means."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from avatar.animate import motion
from avatar.animate.loaded import HeadAvatar
from avatar.rig import RigParams
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix

# Slider -> where it acts, and how far it goes in degrees. Of the jaw and the eyes the angles are
# added; the head turns about its own axes.
JOINTS = {
    "jaw open": ("jaw_pose", (0,), 0, 25),
    "jaw left": ("jaw_pose", (1,), -8, 8),
    "nod": ("neck_pose", (0,), -40, 40),
    "turn left": ("neck_pose", (1,), -60, 60),
    "tilt right": ("neck_pose", (2,), -30, 30),
    "gaze down": ("eyes_pose", (0, 3), -20, 20),
    "gaze left": ("eyes_pose", (1, 4), -30, 30),
}
FREE_RANGE = 3.0  # of an expression that is not one of ARKit's, standard deviations


@dataclass(frozen=True)
class Controls:
    """Positions of all controls that change the picture.

    Attributes:
        timestep: of the recorded motion; None: at rest.
        joints: degrees by the names of `JOINTS`; zeros are left out.
        expressions: strengths by the rig's names; zeros are left out.
        background: RGB 0..255.
    """

    timestep: int | None = None
    joints: tuple[tuple[str, float], ...] = ()
    expressions: tuple[tuple[str, float], ...] = ()
    background: tuple[int, int, int] = (255, 255, 255)


def posed(shown: HeadAvatar, controls: Controls) -> RigParams:
    """The recorded pose, or the one at rest, and on top of it what the sliders add.

    A facial action stays within 0..1, unless the recording itself goes further.
    """
    recorded, step = shown.recorded, controls.timestep
    base = shown.pose() if step is None else recorded
    row = 0 if step is None else step
    poses = {name: getattr(base, name)[row : row + 1].clone() for name in POSES}
    expr, names = poses["expr"][0], shown.rig.expr_names
    for name, strength in controls.expressions:
        place = names.index(name)
        most = max(float(expr[place]), 1.0) if motion.is_arkit(shown.rig) else math.inf
        expr[place] = min(float(expr[place]) + strength, most)
    turn = torch.zeros(1, 3, dtype=torch.float64)
    for name, degrees in controls.joints:
        pose, columns, _, _ = JOINTS[name]
        for column in columns:
            to = turn if pose == "neck_pose" else poses[pose]
            to[0, column] += math.radians(degrees)
    own = {"neck_pose": poses["neck_pose"][0]}
    poses["neck_pose"] = motion.turned_neck(own, axis_angle_to_matrix(turn))
    return motion.moved(recorded, poses, np.zeros(1))
