"""The whole command on a toy avatar: as many frames as asked for, the avatar in them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import avatar
from pipeline import media
from pipeline.drive import cameras
from pipeline.drive.run import Look, default_output, drive
from tests.rigs import toy_rig
from tests.unit.avatar.export.subjects import STEPS, save_subject


@pytest.fixture
def results(tmp_path: Path) -> Path:
    save_subject(tmp_path, toy_rig())
    return tmp_path


def test_a_video_of_the_own_motion(results: Path) -> None:
    path = drive("toy", results, "toy", Look(size=(64, 48)))
    assert path == results / "toy/drive/toy.mp4"
    read = [image for _, image in media.read_video(path)]
    assert len(read) == STEPS
    assert read[0].shape == (48, 64, 3)
    toy = avatar.load(results / "toy")
    views = cameras.look("front", (64, 48), toy.rig, toy.recorded, toy.recorded)
    expected = toy.render(toy.recorded, cameras=views)
    assert np.abs(np.array(read).astype(int) - expected).mean() < 8


def test_another_rate_and_images_with_alpha(results: Path) -> None:
    look = Look(size=(32, 32), background=None, fps=50)
    path = drive("toy", results, "toy", look, path=results / "images")
    images = [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in sorted(path.iterdir())]
    assert len(images) == 7 + 3  # sequences of 4 and 2 timesteps at 25/s
    assert images[0].shape == (32, 32, 4)
    assert images[0][..., 3].max() > 100
    assert images[0][..., 3].min() < images[0][..., 3].max()


def test_the_name_follows_from_the_driver(tmp_path: Path) -> None:
    assert default_output(tmp_path, "x/motion.csv", False) == tmp_path / "drive/motion.mp4"
    assert default_output(tmp_path, "bella", True) == tmp_path / "drive/bella.mov"
