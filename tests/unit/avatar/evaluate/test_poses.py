"""Distances of held-out poses from the training poses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.dataset import Dataset
from avatar.data.layout import TEST, TRAIN, UNUSED
from avatar.evaluate.poses import head_turns, pose_distances
from avatar.rig import HeadRig, RigParams
from tests.scenes import moving_params


def _nodding(rig: HeadRig, root: list[float], neck: list[float]) -> RigParams:
    """Degrees about x, which add up."""
    params = moving_params(rig, len(root))
    turns = torch.zeros(2, len(root), 3)
    turns[:, :, 0] = torch.deg2rad(torch.tensor([root, neck]))
    return replace(params, rotation=turns[0], neck_pose=turns[1])


def test_a_heads_turn_is_the_roots_and_the_necks(rig: HeadRig) -> None:
    params = _nodding(rig, [30.0, 0.0], [60.0, 0.0])
    quarter = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    np.testing.assert_allclose(head_turns(params), [quarter, np.eye(3)], atol=1e-6)


def test_distances_by_hand(scene: Path, rig: HeadRig) -> None:
    """Timesteps 0 to 3 are trained on, at 0, 10, 20 and 30 degrees; 4 and 5 are held out."""
    params = _nodding(rig, [0.0, 5.0, 20.0, 20.0, 20.0, 60.0], [0.0, 5.0, 0.0, 10.0, -6.0, 10.0])
    with Dataset(scene) as dataset:
        rows = dataset.rows(TEST)
        found = pose_distances(params, dataset, rows)
        # Camera 0 is trained on at the first two timesteps only, camera 2 not at all.
        later = (dataset.camera == 0) & (dataset.timestep > 1) & (dataset.split == TRAIN)
        dataset.split[later] = UNUSED
        fewer = pose_distances(params, dataset, rows)
        first = dataset.camera[rows] == 0
        step = dataset.timestep[rows]
        assert pose_distances(params, dataset, rows[:0]).shape == (0,)
    assert found == pytest.approx(np.where(step == 4, 4.0, 40.0), abs=1e-4)
    expected = np.where(step == 4, 4.0, np.where(first, 60.0, 40.0))
    assert fewer == pytest.approx(expected, abs=1e-4)
