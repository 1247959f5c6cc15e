"""Drivers: each kind gives the motion that it should, or one error."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import avatar
from avatar.animate import transfer
from avatar.animate.loaded import HeadAvatar
from avatar.base.errors import UserError
from pipeline.drive import drivers
from tests.rigs import toy_rig
from tests.scenes import moving_params
from tests.unit.avatar.export.subjects import save_subject

RIG = toy_rig()


@pytest.fixture
def toy(tmp_path: Path) -> HeadAvatar:
    loaded = avatar.load(save_subject(tmp_path, RIG))
    moving_params(RIG, 8, seed=1).save(tmp_path / "bella/track/params.npz")
    return loaded


def motion_by(by: str, toy: HeadAvatar, home: Path, same: bool = False) -> drivers.RigParams:
    return drivers.motion_by(by, toy, home / "toy", home / "rigs/toy.npz", same, None)


def test_by_itself_and_by_a_sweep(toy: HeadAvatar, tmp_path: Path) -> None:
    assert motion_by("toy", toy, tmp_path) is toy.recorded
    assert np.diff(motion_by("sweep", toy, tmp_path).time) == pytest.approx(1 / drivers.FPS)


def test_by_another_subject(toy: HeadAvatar, tmp_path: Path) -> None:
    track = moving_params(RIG, 8, seed=1)
    found = motion_by("bella", toy, tmp_path)
    torch.testing.assert_close(found.expr, transfer.transferred(toy.recorded, track, RIG).expr)
    found = motion_by("bella", toy, tmp_path, same=True)
    torch.testing.assert_close(found.expr, track.expr)
    # Refined poses are better than the tracker's.
    better = moving_params(RIG, 8, seed=2)
    better.save(tmp_path / "bella/refine/params.npz")
    found = motion_by("bella", toy, tmp_path, same=True)
    torch.testing.assert_close(found.expr, better.expr)


def test_by_a_file_of_another_rigs_names(toy: HeadAvatar, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("jawOpen\n0.5\n")
    with pytest.raises(UserError, match="'jawOpen' is not an expression of rig toy"):
        motion_by(str(tmp_path / "a.csv"), toy, tmp_path)
    (tmp_path / "a.csv").write_text("browInnerUp\n0.5\n0.25\n")
    found = motion_by(str(tmp_path / "a.csv"), toy, tmp_path)
    np.testing.assert_allclose(found.expr[:, 2], [0.5, 0.25])


def test_drivers_that_do_not_fit(toy: HeadAvatar, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'nobody' is no tracked subject"):
        motion_by("nobody", toy, tmp_path)
    with pytest.raises(UserError, match=r"nothing.mov is no file: expected a video"):
        motion_by("nothing.mov", toy, tmp_path)
    with pytest.raises(UserError, match="subject name"):
        motion_by("a/b", toy, tmp_path)
    other = copy.copy(toy_rig())
    other.v_template = other.v_template * 1.01
    moving_params(other, 4).save(tmp_path / "flora/track/params.npz")
    with pytest.raises(UserError, match="was made with rig toy"):
        motion_by("flora", toy, tmp_path)
    wrong = replace(moving_params(RIG, 4), expr=torch.full((4, 4), torch.nan))
    wrong.save(tmp_path / "nana/track/params.npz")
    with pytest.raises(UserError, match="NaN or infinity"):
        motion_by("nana", toy, tmp_path)


def test_a_long_time_without_a_face_is_a_gap(tmp_path: Path) -> None:
    params = moving_params(RIG, 60)
    params = replace(params, sequence=np.full(60, "a"), time=np.arange(60) / 25)
    valid = np.ones(60, bool)
    valid[10:30] = False
    drivers.check_gaps(replace(params, valid=valid), tmp_path)
    valid[30:40] = False
    with pytest.raises(UserError, match=r"no face for 1.2 s from 0.4 s of sequence 'a'"):
        drivers.check_gaps(replace(params, valid=valid), tmp_path)
    valid[:] = False
    with pytest.raises(UserError, match="no face"):
        drivers.check_gaps(replace(params, valid=valid), tmp_path)
