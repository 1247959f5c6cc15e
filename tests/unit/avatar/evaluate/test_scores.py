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


def _known(size: int = 30) -> Pair:
    """The left half is the foreground, where the render is 0.1 too bright."""
    alpha = np.zeros((size, size), np.float32)
    alpha[:, : size // 2] = 1
    truth = 1 - 0.5 * np.repeat(alpha[..., None], 3, 2)
    render = truth + 0.1 * alpha[..., None]
    regions = np.zeros((size, size), np.uint8)
    return Pair(0, truth, render, alpha, alpha, regions, np.zeros((1, 3), np.float32))


def test_scores_of_a_known_difference() -> None:
    half = np.zeros((30, 30), bool)
    half[:, 15:] = True
    scores = score_frame(_known(), {"right": half}).scores
    assert scores["mask"]["psnr"] == pytest.approx(20, abs=0.01)
    assert scores["full"]["psnr"] == pytest.approx(20 + 10 * np.log10(2), abs=0.01)
    assert scores["right"]["psnr"] == 100


def test_flicker_is_what_changes_in_the_error() -> None:
    pair = _known()
    still = score_frame(pair, {}, before=pair.difference).scores
    assert still["full"]["flicker"] == 0
    now = score_frame(pair, {}, before=-pair.difference).scores
    assert now["mask"]["flicker"] == pytest.approx(20, abs=1e-4)
    assert now["full"]["flicker"] == pytest.approx(20 / np.sqrt(2), abs=1e-4)
    assert "flicker" not in score_frame(pair, {}).scores["full"]


def test_costly_metrics_are_left_out() -> None:
    pair = _known(176)
    quick, all_of_them = score_frame(pair, {}, costly=False), score_frame(pair, {})
    assert quick.flip is None
    assert set(quick.scores["full"]) == {"psnr", "ssim", "mask_iou"}
    assert set(all_of_them.scores["full"]) == {"psnr", "ssim", "mask_iou", "flip", "ms_ssim"}
    assert quick.scores["full"]["mask_iou"] == 1
    assert all_of_them.flip.mean() == pytest.approx(all_of_them.scores["full"]["flip"])
