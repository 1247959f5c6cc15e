"""`flame_param.npz`: the rig's parameters as GaussianAvatars has them beside its point cloud.

Arrays, float32: `shape [S]`, `static_offset [1, V, 3]`, and for every timestep `expr [T, E]`,
`rotation neck_pose jaw_pose translation [T, 3]`, `eyes_pose [T, 6]`, `dynamic_offset [T, V, 3]`
(of the control
points). Angles are axis-angle, lengths metres. Source: the layout that GaussianAvatars and VHAP
document.

FLAME's joints are regressed from the vertices with their static offset; `HeadRig`'s stay where
they are, and its neck joint may shift against the torso, which FLAME's may not. The translation is
adjusted so that the head stays in place. What remains is that jaw and eyes turn about joints that
the offset has moved, the neck's part of the shoulders, and a torso that follows the neck's shift.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.base import npz
from avatar.rig import HeadRig, RigParams
from avatar.rig.head_rig import NECK, ROOT
from avatar.rig.params import OPTIONAL, POSES
from avatar.rig.rotations import axis_angle_to_matrix

NAME = "flame_param.npz"


def save_flame_params(path: Path, rig: HeadRig, params: RigParams) -> None:
    """Write the parameters of all timesteps, atomically.

    Args:
        rig: one made from a FLAME file.
    """
    names = [name for name in ("shape", *POSES) if name not in OPTIONAL]
    arrays = {name: getattr(params, name).numpy() for name in names}
    root = axis_angle_to_matrix(params.rotation)
    shift = (root @ params.neck_shift[..., None]).squeeze(-1) + joint_correction(rig, params)
    arrays["translation"] = arrays["translation"] + shift.numpy()
    arrays["static_offset"] = params.static_offset.numpy()[None]
    arrays["dynamic_offset"] = rig.deformation(params.soft_offset).numpy()
    npz.write(path, arrays)


def joint_correction(rig: HeadRig, params: RigParams) -> Float[Tensor, "T 3"]:
    """What to add to the translation where static offsets move the joints, metres.

    A vertex of the head is at `Rr (Rn (x - n) + n - r) + r + t`, with root and neck joints r, n;
    the correction is that expression less the one with r + dr and n + dn.
    """
    if rig.joint_regressor is None:
        return torch.zeros(len(params), 3)
    moved = rig.joint_regressor @ params.static_offset
    root, neck = (axis_angle_to_matrix(v) for v in (params.rotation, params.neck_pose))
    arm = (neck @ moved[NECK, :, None]).squeeze(-1) - moved[NECK] + moved[ROOT]
    return (root @ arm[..., None]).squeeze(-1) - moved[ROOT]
