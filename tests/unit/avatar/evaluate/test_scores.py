import numpy as np
import pytest

from avatar.data.layout import HEAD, NECK, TORSO
from avatar.evaluate.pixels import Pair
from avatar.evaluate.scores import map_regions, rig_regions, score_frame
from avatar.rig import HeadRig
from tests.scenes import SIZE, ring_of_cameras


def test_regions_lie_where_the_rig_says(rig: HeadRig) -> None:
    cameras = ring_of_cameras(3)
    regions = rig_regions(rig, rig.v_template.numpy(), cameras, 1)  # from the front
    rows, columns = np.nonzero(regions["mouth"])
    assert rows.min() > SIZE / 2  # below the middle
    assert abs(columns.mean() - SIZE / 2 + 0.5) < 1
    assert np.nonzero(regions["eyes"])[0].max() < rows.max()
    away = rig.v_template.numpy() * np.array([-1, 1, -1])  # the back of the head
    assert rig_regions(rig, away, cameras, 1) == {}


def test_head_and_torso_are_those_of_the_region_map() -> None:
    seen = np.zeros((10, 10), np.uint8)
    seen[:4], seen[4:6], seen[6:] = HEAD, NECK, TORSO
    regions = map_regions(seen)
    assert {name: int(mask.sum()) for name, mask in regions.items()} == {"head": 40, "torso": 40}
    assert not (regions["head"] | regions["torso"])[4:6].any()
    seen[6:] = 0
    seen[9, :9] = TORSO  # too little to measure
    assert list(map_regions(seen)) == ["head"]


def test_scores_of_a_known_difference() -> None:
    alpha = np.zeros((30, 30), np.float32)
    alpha[:, :15] = 1
    truth = np.ones((30, 30, 3), np.float32)
    truth[:, :15] = 0.5
    render = truth.copy()
    render[:, :15] += 0.1
    pair = Pair(0, truth, render, alpha, alpha, np.zeros((30, 30), np.uint8), np.zeros((1, 3)))
    half = np.zeros((30, 30), bool)
    half[:, 15:] = True
    scores = score_frame(pair, {"right": half}).scores
    assert scores["mask"]["psnr"] == pytest.approx(20, abs=0.01)
    assert scores["full"]["psnr"] == pytest.approx(20 + 10 * np.log10(2), abs=0.01)
    assert scores["right"]["psnr"] == 100
