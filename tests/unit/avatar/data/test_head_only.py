"""A dataset without torso: its alpha ends at the neck, all else stays."""

from pathlib import Path

import numpy as np

from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.data.head_only import HeadDataset, without_torso
from avatar.data.layout import HEAD, TORSO
from avatar.rig import HeadRig
from tests.scenes import write_scene


def test_alpha_below_one_half_stays() -> None:
    alpha = np.array([[0, 100, 127, 128, 255]], np.uint8)
    kept = without_torso(alpha, np.zeros((1, 5), np.uint8))
    assert kept.tolist() == [[0, 100, 127, 255, 255]]


def test_the_torso_goes_and_three_pixels_around_it() -> None:
    regions = np.array([[HEAD] * 6 + [TORSO] * 2], np.uint8)
    kept = without_torso(np.full((1, 8), 200, np.uint8), regions)
    assert kept.tolist() == [[255, 255, 255, 0, 0, 0, 0, 0]]


def test_only_alpha_is_another(rig: HeadRig, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "dataset.h5", rig, cameras=1)
    with Dataset(path) as whole, HeadDataset(path) as head:
        torso = whole.region(0) == TORSO
        assert torso.any()
        assert whole.alpha(0)[torso].max() == 255
        assert head.alpha(0)[torso].max() == 0
        assert np.array_equal(head.alpha(0), without_torso(whole.alpha(0), whole.region(0)))
        assert np.array_equal(head.image(0), whole.image(0))
        assert dataset_sha256(head) == dataset_sha256(whole)
