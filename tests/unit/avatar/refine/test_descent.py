"""Descent on motion through an avatar: the gradient, Adam's step, and a known motion regained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.dataset import Dataset
from avatar.gaussians.avatar_file import Avatar
from avatar.refine import motion
from avatar.refine.descent import Descent, Round, residual
from avatar.refine.targets import Targets
from avatar.rig import HeadRig
from avatar.rig.controls import CONTROLS
from avatar.train.presets import QUICK, override
from avatar.train.trainer import Trainer
from tests.scenes import moving_params

STEPS = np.array([1, 4])


@pytest.fixture(scope="module")
def trained(scene: Path, rig: HeadRig) -> Avatar:
    """An avatar of the toy scene, trained with the true motion."""
    still = {"expr": 0, "pose": 0, "translation": 0}
    preset = override(QUICK, {"images": 240, "density": {"interval": 0}, "rig": still})
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, preset)
        for _ in trainer.steps():
            pass
    return trainer.avatar({})


def _columns(avatar: Avatar, name: str) -> list[int]:
    """Where the entries of a parameter are in the vector."""
    numbers = torch.arange(len(motion.units(avatar.params)), dtype=torch.float32)[None]
    return [int(c) for c in motion.split(numbers, avatar.params)[name][0]]


def test_a_step_of_adam_by_hand(rig: HeadRig) -> None:
    params = moving_params(rig, 1)
    values = motion.stack(params, torch.tensor([0]))
    gradient = torch.zeros_like(values)
    parts = motion.split(gradient, params)
    parts["jaw_pose"][0, :2] = torch.tensor([5.0, -0.01])
    parts["soft_offset"][0, :2] = torch.tensor([3.0, -4.0])
    descent = Descent(values, params, rig)
    descent.step(gradient, 0.5)
    moved = motion.split(descent.values - values, params)
    # At first Adam's step is the rate in the unit of each, whatever the gradient's length.
    assert moved["jaw_pose"][0].tolist() == pytest.approx([-0.015, 0.015, 0], abs=1e-6)
    # The control points have one size: the root mean square of their gradients.
    size = 5 / np.sqrt(3 * CONTROLS)
    expected = [-0.5 * 0.008 * 3 / size, 0.5 * 0.008 * 4 / size, 0]
    assert moved["soft_offset"][0, :3].tolist() == pytest.approx(expected, rel=1e-4)
    assert not moved["expr"].any()


def test_the_gradient_is_that_of_the_error(scene: Path, rig: HeadRig, trained: Avatar) -> None:
    with Dataset(scene) as dataset:
        targets = Targets(dataset, [0, 3], 48)
        values = motion.stack(trained.params, torch.from_numpy(STEPS))
        values += 0.1 * motion.units(trained.params)  # away from the minimum, where slopes vanish
        _, gradient = residual(trained, rig, targets, STEPS, values)
        for name in ("rotation", "translation", "neck_shift", "soft_offset"):
            column, small = _columns(trained, name)[1], 0.2 * motion.UNITS[name]
            ahead, behind = values.clone(), values.clone()
            ahead[:, column] += small
            behind[:, column] -= small
            difference = [residual(trained, rig, targets, STEPS, v)[0] for v in (ahead, behind)]
            slope = (difference[0] - difference[1]) / (2 * small)
            scale = gradient[:, column].abs().max()
            assert torch.allclose(slope, gradient[:, column], atol=0.2 * float(scale)), name


def test_the_same_bits_for_any_number_of_threads(
    scene: Path, rig: HeadRig, trained: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = np.arange(6)
    values = motion.stack(trained.params, torch.from_numpy(steps))
    monkeypatch.setattr("avatar.refine.descent._BATCH", 2)  # a timestep at a time
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("avatar.refine.descent.cores", lambda count=threads: count)
        with Dataset(scene) as dataset:
            found.append(residual(trained, rig, Targets(dataset, [0, 3], 48), steps, values))
    for alone, together in zip(*found, strict=True):
        assert torch.equal(alone, together)


def test_motion_that_was_disturbed_is_regained(scene: Path, rig: HeadRig, trained: Avatar) -> None:
    true = motion.stack(trained.params, torch.from_numpy(STEPS))
    units = motion.units(trained.params)
    moved = [*_columns(trained, "rotation"), *_columns(trained, "translation")]
    start = true.clone()
    start[:, moved] += 0.6 * units[moved] * torch.tensor([1.0, -1.0, 1.0]).repeat(2)
    disturbed = replace(trained, params=motion.changed(trained.params, STEPS, start - true))
    with Dataset(scene) as dataset:
        targets = Targets(dataset, [0, 1, 3], 48)
        least, _ = residual(disturbed, rig, targets, STEPS, true)
        before, _ = residual(disturbed, rig, targets, STEPS, start)
        descent = Descent(start, trained.params, rig)
        for part in (Round(48, 15, 0.1), Round(48, 10, 0.03)):
            errors = descent.run(disturbed, targets, STEPS, part)
        after, _ = residual(disturbed, rig, targets, STEPS, descent.values)
    assert errors[0] > errors[-1]
    assert bool((after - least < 0.3 * (before - least)).all())
