"""ARKit's 52 facial actions in terms of a rig's expressions, jaw and eyes, and back.

With a jaw joint and eye joints, eleven of the actions would be redundant: they are rotations
here, the other 41 are the rig's expressions of the same names.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

ARKIT_NAMES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight",
    "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower",
    "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip

# Full strength, radians. jawOpen: the rotation of MakeHuman's lower teeth under it. Eyes: what
# moves the iris as far over the ball as MakeHuman's eyeLook actions do.
JAW_OPEN, JAW_SIDE = 0.361, 0.08
EYE_SIDE, EYE_UP, EYE_DOWN = 0.38, 0.19, 0.28

# action -> (pose, component, radians at full strength). Rotations about +x lower the chin and
# the gaze, about +y turn them to the subject's left; eyes_pose is left (0-2) then right (3-5).
ROTATIONS = {
    "jawOpen": ("jaw_pose", 0, JAW_OPEN),
    "jawLeft": ("jaw_pose", 1, JAW_SIDE),
    "jawRight": ("jaw_pose", 1, -JAW_SIDE),
    "eyeLookDownLeft": ("eyes_pose", 0, EYE_DOWN),
    "eyeLookUpLeft": ("eyes_pose", 0, -EYE_UP),
    "eyeLookOutLeft": ("eyes_pose", 1, EYE_SIDE),
    "eyeLookInLeft": ("eyes_pose", 1, -EYE_SIDE),
    "eyeLookDownRight": ("eyes_pose", 3, EYE_DOWN),
    "eyeLookUpRight": ("eyes_pose", 3, -EYE_UP),
    "eyeLookInRight": ("eyes_pose", 4, EYE_SIDE),
    "eyeLookOutRight": ("eyes_pose", 4, -EYE_SIDE),
}
EXPR_NAMES = tuple(name for name in ARKIT_NAMES if name not in ROTATIONS)


def from_arkit(coefficients: Float[Tensor, "*B 52"]) -> dict[str, Float[Tensor, "*B _"]]:
    """Rig parameters of ARKit coefficients.

    Args:
        coefficients: strengths in the order of `ARKIT_NAMES`, 0..1.
    Returns:
        `expr` [..., 41] in the order of `EXPR_NAMES`, `jaw_pose` [..., 3] and `eyes_pose`
        [..., 6] (axis-angle, rad): keyword arguments of `HeadRig.forward`.
    """
    batch = coefficients.shape[:-1]
    chosen = [ARKIT_NAMES.index(name) for name in EXPR_NAMES]
    poses = {
        "jaw_pose": coefficients.new_zeros(*batch, 3),
        "eyes_pose": coefficients.new_zeros(*batch, 6),
    }
    for name, (pose, component, angle) in ROTATIONS.items():
        poses[pose][..., component] += angle * coefficients[..., ARKIT_NAMES.index(name)]
    return {"expr": coefficients[..., chosen], **poses}


def to_arkit(
    expr: Float[Tensor, "*B 41"],
    jaw_pose: Float[Tensor, "*B 3"],
    eyes_pose: Float[Tensor, "*B 6"],
) -> Float[Tensor, "*B 52"]:
    """ARKit coefficients of rig parameters; of two opposite actions one is always 0.

    Args:
        expr: strengths in the order of `EXPR_NAMES`.
        jaw_pose: axis-angle, rad; a closed jaw pressed further gives jawOpen 0.
        eyes_pose: axis-angle, rad, left then right.
    Returns:
        Strengths in the order of `ARKIT_NAMES`, those of rotations at least 0.
    """
    poses = {"jaw_pose": jaw_pose, "eyes_pose": eyes_pose}
    columns = []
    for name in ARKIT_NAMES:
        if name in ROTATIONS:
            pose, component, angle = ROTATIONS[name]
            columns.append((poses[pose][..., component] / angle).clamp(min=0))
        else:
            columns.append(expr[..., EXPR_NAMES.index(name)])
    return torch.stack(columns, -1)


def named(strengths: Mapping[str, float | Float[np.ndarray, "T"]], length: int) -> Tensor:
    """ARKit coefficients [length, 52] (float32) with the named strengths, all else 0.

    Raises:
        ValueError: a name is not ARKit's.
    """
    result = torch.zeros(length, len(ARKIT_NAMES))
    for name, strength in strengths.items():
        if name not in ARKIT_NAMES:
            raise ValueError(f"{name!r} is not one of ARKit's 52 facial actions")
        result[:, ARKIT_NAMES.index(name)] = torch.as_tensor(strength, dtype=torch.float32)
    return result
