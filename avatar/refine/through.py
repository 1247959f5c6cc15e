"""Poses and expressions of some timesteps, refined through a finished avatar."""

import numpy as np
from jaxtyping import Int

from avatar.data.dataset import Dataset
from avatar.gaussians.avatar_file import Avatar
from avatar.rig import HeadRig, RigParams


def refine_through(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, timesteps: Int[np.ndarray, "S"]
) -> RigParams:
    """Refine the avatar's parameters at some timesteps; the avatar itself stays as it is.

    Args:
        timesteps: whose frames are looked at; all others keep their parameters.
    Returns:
        Parameters of all timesteps, on the CPU.
    """
    return avatar.params
