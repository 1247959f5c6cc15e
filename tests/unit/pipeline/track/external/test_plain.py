"""Tracks of headsplat, given for the stored timesteps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from avatar.rig import RigParams
from pipeline.track.external.plain import plain_params
from tests.flame_tracks import write
from tests.subject import Subject


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


def taken(subject: Subject, params: RigParams, remarks: list[str] | None = None) -> RigParams:
    path = subject.home / "given.npz"
    params.save(path)
    with FrameStore(subject.home / "ingest/frames.h5") as store:
        return plain_params(path, subject.rig, store, [] if remarks is None else remarks)


def test_the_same_params_come_out(subject: Subject) -> None:
    given = replace(subject.params, valid=np.array([True, False, True, True]))
    for name, value in vars(taken(subject, given)).items():
        np.testing.assert_array_equal(value, getattr(given, name), err_msg=name)


def test_timesteps_that_are_lacking_are_held_and_others_left_out(subject: Subject) -> None:
    given, remarks = subject.params, []
    kept = torch.tensor([2, 0, 3])  # in any order
    some = {n: v[kept] for n, v in vars(given).items() if np.shape(v)[:1] == (4,)}
    there = {"sequence": np.array(["main", "main", "other"]), "index": np.array([2, 0, 3])}
    there |= {"time": given.time[[2, 0, 3]], "valid": np.ones(3, bool)}
    got = taken(subject, replace(given, **(some | there)), remarks)
    assert got.valid.tolist() == [True, False, True, False]
    assert torch.equal(got.expr, given.expr[torch.tensor([0, 0, 2, 2])])
    assert remarks == ["the track lacks 2 of 4 timesteps"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rig_sha256": "0123456789abcdef"}, "was tracked with the rig toy 0123456789ab"),
        ({"expr": torch.zeros(4, 5)}, r"expr has shape \(4, 5\), expected \(4, 4\)"),
        ({"jaw_pose": torch.full((4, 3), torch.nan)}, "jaw_pose holds NaN"),
        ({"sequence": np.array(["b"] * 4)}, "has no timestep of"),
        ({"sequence": np.array("b")}, r"sequence has shape \(\), expected \(4,\)"),
        ({"time": np.arange(4) / 12}, r"main 3 is at 0\.250 s, the stored frame at 0\.120 s"),
    ],
)
def test_a_track_that_does_not_fit_is_refused(
    subject: Subject, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        taken(subject, replace(subject.params, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"shape": np.array([{}])}, "shape is not plain numbers or text"),
        ({"shape": np.zeros(3)}, "lacks static_offset, expr"),
    ],
)
def test_a_file_that_is_no_track_is_refused(
    subject: Subject, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = write(subject.home / "given.npz", arrays)
    with FrameStore(subject.home / "ingest/frames.h5") as store, pytest.raises(UserError) as caught:
        plain_params(path, subject.rig, store, [])
    assert message in str(caught.value)
