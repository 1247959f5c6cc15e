"""Poses and expressions of all timesteps, refined through an avatar of the training frames."""

import torch

from avatar.data.dataset import Dataset
from avatar.refine.settings import RefineSettings
from avatar.rig import HeadRig, RigParams


def refine_poses(
    dataset: Dataset, rig: HeadRig, settings: RefineSettings, seed: int, device: torch.device
) -> tuple[RigParams, dict[str, float]]:
    """Refine the tracker's parameters.

    Args:
        seed: of everything random.
        device: where the avatar is rendered.
    Returns:
        Parameters of all timesteps, on the CPU, and measures for quality.json, by name.
    """
    return dataset.params, {}
