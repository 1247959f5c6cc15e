from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.cameras import Cameras
from avatar.rig import HeadRig
from pipeline.track.outline import overlap
from tests.unit.pipeline.track.outlines import alphas_of, bare_rig, still, toy_cameras


@pytest.fixture
def rig() -> HeadRig:
    return bare_rig()


@pytest.fixture
def rigged() -> Cameras:
    return toy_cameras(2)


def test_overlap_of_a_mesh_with_its_own_alpha_and_with_a_wider_one(
    rig: HeadRig, rigged: Cameras, tmp_path: Path
) -> None:
    params = still(rig, [0.0, 0, 0])
    alphas = alphas_of(tmp_path, rig, params, rigged)
    rows = np.arange(2)
    own = overlap.measure(rig, params, rigged, alphas, rows)
    assert own.head == own.bare == 1
    wider = still(rig, [2.0, 0, 0])  # 10 % wider: less than 1 / 1.1 in common, all else equal
    ratio = overlap.measure(rig, wider, rigged, alphas, rows).head
    assert ratio == pytest.approx(1 / 1.1, abs=0.03)


def test_hair_above_the_skin_does_not_count(rig: HeadRig, rigged: Cameras, tmp_path: Path) -> None:
    """The upper half of the skull is swollen in the alpha; the face is below it."""
    up = rig.v_template[:, 1] > 0.0
    rig.masks["face"] = rig.masks["skin"] & ~rig.masks["neck"] & ~up
    params = still(rig, [0.0, 0, 0])
    out = 0.012 * torch.nn.functional.normalize(rig.v_template, dim=1)
    hairy = replace(params, static_offset=out * (rig.v_template[:, 1:2] > 0.02))
    alphas = alphas_of(tmp_path, rig, hairy, rigged)
    got = overlap.measure(rig, params, rigged, alphas, np.arange(2))
    assert got.head < 0.93
    assert got.bare > 0.98


def test_nothing_drawn_is_nothing_to_compare(rig: HeadRig, rigged: Cameras, tmp_path: Path) -> None:
    params = still(rig, [0.0, 0, 0])
    alphas = alphas_of(tmp_path, rig, params, rigged)
    for away in (torch.tensor([[9.0, 0, 0]]), torch.tensor([[0.0, 0, 9.0]])):
        away_too = replace(params, translation=away)
        got = overlap.measure(rig, away_too, rigged, alphas, np.arange(2))
        assert (got.head, got.bare, got.shoulders) == (0, 0, 0)
