"""Small frames over white, and the cameras that they are of."""

from pathlib import Path

import numpy as np
import pytest

from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.refine.targets import MOST_VIEWS, Targets, spread_cameras


def test_frames_are_composited_over_white_and_shrunk(scene: Path) -> None:
    with Dataset(scene) as dataset:
        targets = Targets(dataset, [0, 1], 24)
        rows = targets.rows(np.array([1, 3]))
        images = targets.images(rows)
        assert targets.shrink == 2
        assert Targets(dataset, [0, 1], None).shrink == 1
        assert images.shape == (2, 2, 24, 24, 3)
        image, alpha = dataset.image(int(rows[1, 0])), dataset.alpha(int(rows[1, 0])) / 255.0
        over = alpha[..., None] * image / 255.0 + 1 - alpha[..., None]
        expected = over.reshape(24, 2, 24, 2, 3).mean((1, 3))
        assert images[1, 0].numpy() == pytest.approx(expected, abs=0.6 / 255)
        views = targets.views(rows)
        assert (views.width, views.height) == (24, 24)
        assert views.Ks[0, 1, 0, 0] == pytest.approx(dataset.cameras.Ks[1, 0, 0] / 2)
        assert dataset.timestep[rows].tolist() == [[1, 1], [3, 3]]
        assert dataset.camera[rows].tolist() == [[0, 1], [0, 1]]


def test_a_missing_frame_is_replaced_by_another_view_of_the_timestep(scene: Path) -> None:
    with Dataset(scene) as dataset:
        dataset.__dict__["row"] = lambda t, c: -1 if c == 0 and t == 1 else 10 * t + c
        targets = Targets(dataset, [0, 1], 24)
        assert targets.rows(np.array([0, 1])).tolist() == [[0, 1], [11, 11]]


def test_only_cameras_of_the_split_are_compared_spread_evenly(scene: Path) -> None:
    with Dataset(scene) as dataset:
        assert spread_cameras(dataset, TRAIN) == [0, 1, 3]  # 2 is held out
        dataset.split[:] = TRAIN
        dataset.camera[:] = np.arange(len(dataset.camera)) % 12
        assert spread_cameras(dataset, TRAIN) == [2, 6, 10]
        assert MOST_VIEWS == 3
