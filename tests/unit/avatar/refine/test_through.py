"""What every way of refining through a finished avatar keeps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avatar.data.dataset import Dataset
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.model import RiggedGaussians
from avatar.refine.through import refine_capture, refine_through
from avatar.rig import HeadRig
from avatar.rig.params import POSES
from tests.scenes import write_scene


def test_other_timesteps_and_the_avatar_stay(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        gaussians = RiggedGaussians.on_faces(len(rig.faces))
        avatar = Avatar(gaussians, dataset.params, {})
        before = {name: value.clone() for name, value in gaussians.tensors().items()}
        poses = {name: getattr(avatar.params, name).clone() for name in POSES}
        params = refine_through(avatar, rig, dataset, np.array([4, 5]))
        assert params.misfit(rig, len(dataset.sequence)) is None
    for name, value in poses.items():
        assert torch.equal(getattr(params, name)[:4], value[:4]), name
        assert torch.equal(getattr(avatar.params, name), value), name
    for name, value in gaussians.tensors().items():
        assert torch.equal(value, before[name]), name


def test_another_capture_takes_the_identity(rig: HeadRig, tmp_path: Path) -> None:
    with Dataset(write_scene(tmp_path / "dataset.h5", rig, cameras=1)) as dataset:
        own = replace(dataset.params, shape=torch.full((rig.num_shape,), 1.0))
        gaussians = RiggedGaussians.on_faces(len(rig.faces))
        found = refine_capture(Avatar(gaussians, own, {}), rig, dataset)
        assert found.misfit(rig, len(dataset.sequence)) is None
        assert torch.equal(found.shape, own.shape)
        assert (found.translation != dataset.params.translation).any(1).all()
