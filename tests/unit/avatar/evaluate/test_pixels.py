"""What the protocols show of truth and render."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.dataset import Dataset
from avatar.data.layout import HEAD, NECK, TORSO
from avatar.data.regions import face_regions
from avatar.evaluate.pixels import (
    Pair,
    Pairs,
    above_line,
    neck_edge,
    project,
    shown_gaussians,
)
from avatar.evaluate.protocols import Part
from avatar.evaluate.renders import RenderedFrame, render_rows
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.model import SH_C0, RiggedGaussians, color_to_sh
from avatar.rig import HeadRig
from tests.scenes import SIZE, ring_of_cameras

WHITE = np.ones(3, np.float32)


def _pair(part: Part, rig: HeadRig, background: np.ndarray = WHITE, torso: bool = True) -> Pair:
    """A grey frame of head, neck and torso one below the other, and a render of its own grey."""
    regions = np.zeros((SIZE, SIZE), np.uint8)
    regions[8:20], regions[20:28], regions[28:40] = HEAD, NECK, TORSO
    alpha = np.where(regions > 0, 200, 0).astype(np.uint8)
    rendered = RenderedFrame(
        0,
        np.full((SIZE, SIZE, 3), 0.25, np.float32),
        np.full((SIZE, SIZE), 0.75, np.float32),
        rig.v_template.numpy(),
    )
    pairs = Pairs(part, rig, ring_of_cameras(1), background, torso)
    return pairs(rendered, np.full((SIZE, SIZE, 3), 51, np.uint8), alpha, regions, 0)


def test_all_is_shown_as_it_is(rig: HeadRig) -> None:
    pair = _pair("all", rig)
    over = 0.2 * 200 / 255 + 55 / 255
    assert pair.truth[10, 0].tolist() == pytest.approx([over] * 3, abs=1e-3)
    assert pair.truth[0, 0].tolist() == [1, 1, 1]
    assert (pair.image == 0.25).all()
    assert pair.alpha[10, 0] == pytest.approx(200 / 255)


def test_the_torso_leaves_the_truth_and_not_the_render(rig: HeadRig) -> None:
    pair = _pair("head", rig, np.zeros(3, np.float32))
    rows = pair.alpha[:, 0].tolist()
    assert rows == [0.0] * 8 + [1.0] * 17 + [0.0] * 23  # the torso begins at 28, and 3 before
    assert pair.truth[24, 0].tolist() == pytest.approx([0.2] * 3, abs=1e-3)
    assert pair.truth[25].max() == 0
    assert (pair.image == 0.25).all()
    assert pair.coverage is None


def test_a_render_without_torso_has_a_coverage(rig: HeadRig) -> None:
    assert (_pair("head", rig, torso=False).coverage == 0.75).all()


def test_both_end_at_the_neck_alike(rig: HeadRig) -> None:
    """The edge's foremost vertex is in the middle of the picture, at the height of its sides."""
    pair = _pair("above_neck", rig)
    line = project(rig.v_template.numpy()[neck_edge(rig)], ring_of_cameras(1), 0)[2, 1]
    kept = pair.coverage / 0.75
    assert 24 < line < 46
    for row in (int(line) - 3, int(line), int(line) + 3):
        share = kept[row, 0]
        assert pair.image[row, 0, 0] == pytest.approx(share * 0.25 + 1 - share, abs=1e-6)
    whole = _pair("all", rig)
    assert pair.truth == pytest.approx(1 + kept[..., None] * (whole.truth - 1), abs=1e-6)
    assert pair.alpha == pytest.approx(kept * whole.alpha, abs=1e-6)
    assert kept[int(line) - 3].min() == 1
    assert kept[int(line) + 3].max() == 0


def test_a_line_is_tilted_as_the_edges_sides_and_blurred() -> None:
    """Sides at (90, 40) and (10, 20), a point at (50, 60): a slope of a quarter."""
    kept = above_line(np.array([[90.0, 40.0], [10.0, 20.0], [50.0, 60.0]]), 120, 200)
    for x in (0, 50, 199):
        y = 60 + 0.25 * (x + 0.5 - 50)
        assert np.interp(y - 0.5, np.arange(120), kept[:, x]) == pytest.approx(0.5, abs=0.06)
    level = above_line(np.array([[10.0, 0.0], [10.0, 90.0], [10.0, 60.0]]), 120, 200)
    assert np.ptp(level, axis=1).max() == 0  # the sides lie one behind the other: no slope
    assert (np.abs(level[:, 0] - 0.5) < 0.499).sum() == 6  # of a width of 200, in a window of 7
    steep = above_line(np.array([[11.0, 90.0], [10.0, 0.0], [10.0, 60.0]]), 120, 200)
    assert kept[59, 50] > 0.5 > steep[65, 10]
    assert steep[100, 60] > 0.5


def test_the_edge_lies_between_neck_and_torso(rig: HeadRig) -> None:
    left, right, front = rig.v_template.numpy()[neck_edge(rig)]
    assert left[0] == -right[0] > 0
    assert front[2] > left[2]
    assert left[1] == right[1] == front[1]


def test_the_torso_of_a_head_is_black_from_all_sides_and_hides(rig: HeadRig, scene: Path) -> None:
    gaussians = RiggedGaussians.on_faces(len(rig.faces), sh_degree=1, opacity=0.999, basis=1)
    gaussians.sh_dc[:] = color_to_sh(torch.ones(3))
    gaussians.sh_rest[:] = gaussians.basis_colors[:] = 0.1
    torso = face_regions(rig) == TORSO
    black = np.zeros(3, np.float32)
    with Dataset(scene) as dataset:
        avatar = Avatar(gaussians, dataset.params, {})
        assert shown_gaussians(avatar, rig, "all") is avatar
        assert shown_gaussians(avatar, rig, "above_neck") is avatar
        alone = Avatar(gaussians, dataset.params, {"torso": False})
        assert shown_gaussians(alone, rig, "head") is alone
        shown = shown_gaussians(avatar, rig, "head")
        (before,) = render_rows(avatar, rig, dataset, np.array([0]), black)
        (after,) = render_rows(shown, rig, dataset, np.array([0]), black)
    world = shown.gaussians.activate(rig.v_template, rig.faces, None, torch.ones(1))
    assert (world.sh_coeffs[torso] * SH_C0 + 0.5)[:, 0].abs().max() < 1e-6
    assert world.sh_coeffs[torso][:, 1:].abs().max() == 0
    assert torch.equal(shown.gaussians.sh_dc[~torso], gaussians.sh_dc[~torso])
    assert (gaussians.sh_rest == 0.1).all(), "the avatar stays as it is"
    assert np.array_equal(before.coverage, after.coverage)
    assert after.image.sum() < before.image.sum()
