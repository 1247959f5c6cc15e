"""What training starts from: colours of the frames, the scene's size."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.gaussians.binding import face_frames
from avatar.gaussians.initial import (
    MOUTH,
    face_colors,
    first_colors,
    neutral_frames,
    scene_extent,
    training_rows,
)
from avatar.gaussians.model import SH_C0
from avatar.rig import HeadRig
from tests.scenes import paint, ring_of_cameras


def test_colours_of_the_faces_come_from_the_frames(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        colors = face_colors(dataset, dataset.params, rig, dataset.rows(TRAIN)[::3])
    truth = paint(rig)[rig.faces.numpy()].mean(1)
    centre = rig.v_template[rig.faces].mean(1)
    front = ((centre[:, 2] > 0.05) & rig.masks["skin"][rig.faces].all(1)).numpy()
    assert np.abs(colors - truth)[front].mean() < 0.06
    assert np.isfinite(colors).all()


def test_the_parameters_say_where_the_faces_are(scene: Path, rig: HeadRig) -> None:
    """Moved out of the picture, no face is seen: one colour, but dark inside the mouth."""
    rig = deepcopy(rig)
    hidden = torch.zeros(len(rig.v_template), dtype=torch.bool)
    hidden[rig.faces[0]] = True
    rig.masks["teeth"] = hidden
    with Dataset(scene) as dataset:
        away = replace(dataset.params, translation=dataset.params.translation + 100.0)
        colors = face_colors(dataset, away, rig, dataset.rows(TRAIN)[:2])
    inside = hidden[rig.faces].all(1).numpy()
    assert (colors[~inside] == colors[~inside][0]).all()
    assert np.allclose(colors[inside], MOUTH)


def test_the_extent_with_one_camera_is_the_heads(rig: HeadRig) -> None:
    assert scene_extent(rig, ring_of_cameras(1).viewmats) == rig.head_radius
    assert scene_extent(rig) == rig.head_radius
    # Cameras 0.5 m away at -0.87, -0.29, 0.29 and 0.87 rad: the outer ones are the farthest
    # from the mean of all, which lies on the axis.
    away = 0.5 * (np.cos(0.87) + np.cos(0.29)) / 2
    farthest = np.hypot(0.5 * np.sin(0.87), 0.5 * np.cos(0.87) - away)
    found = scene_extent(rig, ring_of_cameras(4).viewmats)
    assert found == pytest.approx(1.1 * farthest, rel=1e-3)
    assert scene_extent(rig, 0.9 * np.eye(4)[None].repeat(3, 0)) == rig.head_radius


def test_first_colours_show_the_frames_colours(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        rows = training_rows(dataset)
        coefficients = first_colors(dataset, dataset.params, rig, rows, 2)
        shown = face_colors(dataset, dataset.params, rig, rows[[0, -1]])
    assert coefficients.shape == (len(rig.faces), 1, 3)
    assert np.allclose(coefficients[:, 0].numpy() * SH_C0 + 0.5, shown, atol=1e-6)


def test_training_rows_are_the_split_or_an_error(scene: Path) -> None:
    with Dataset(scene) as dataset:
        assert (dataset.split[training_rows(dataset)] == TRAIN).all()
        dataset.split[:] = 3
        with pytest.raises(UserError, match=r"no training frames \(of 24; 6 of 6 timesteps"):
            training_rows(dataset)


def test_neutral_frames_are_those_of_the_unposed_mesh(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        found = neutral_frames(rig, dataset.params)
    expected = face_frames(rig.v_template, rig.faces)  # shape and offsets are zero there
    assert np.allclose(found.scale, expected.scale, atol=1e-7)
    assert np.allclose(found.quat, expected.quat, atol=1e-6)
