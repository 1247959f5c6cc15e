"""What every way of refining keeps: timesteps, identity of the rig, finite values."""

import math
from pathlib import Path

import numpy as np
import torch

from avatar.data.dataset import Dataset
from avatar.refine.poses import refine_poses
from avatar.refine.settings import RefineSettings
from avatar.rig import HeadRig


def test_parameters_of_all_timesteps_come_out(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        tracked = {name: np.copy(value) for name, value in dataset.params.arrays().items()}
        params, metrics = refine_poses(
            dataset, rig, RefineSettings(images=200), 0, torch.device("cpu")
        )
        assert params.misfit(rig, len(dataset.sequence)) is None
        for name, value in dataset.params.arrays().items():
            np.testing.assert_array_equal(value, tracked[name], err_msg=name)
    for name in ("sequence", "index", "time", "valid", "rig", "rig_sha256"):
        np.testing.assert_array_equal(params.arrays()[name], tracked[name], err_msg=name)
    assert all(math.isfinite(value) for value in metrics.values())
    assert params.expr.device.type == "cpu"
