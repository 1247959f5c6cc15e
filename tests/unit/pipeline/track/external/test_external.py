"""Which external track is taken, plain ones, and the stage's files with either kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.reader import FrameStore
from avatar.rig import RigParams
from pipeline.track import external
from pipeline.track.external.arrays import nearest_known
from pipeline.track.external.plain import plain_params
from tests.flame_tracks import add_tracks, moves, write
from tests.hard_cases import transforms_folder
from tests.media_files import write_clip
from tests.rigs import toy_rig
from tests.subject import Subject


def test_the_nearest_known_timestep_of_the_own_sequence() -> None:
    known = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0], bool)
    sequence = np.array(list("aaaabbbccd"))
    assert nearest_known(known, sequence).tolist() == [1, 1, 1, 1, 4, 4, 4, 8, 8, 8]


# -- which -------------------------------------------------------------------------------------


def test_a_capture_without_tracks_is_fitted(tmp_path: Path) -> None:
    write_clip(tmp_path / "ann/talk.mp4", [50, 60])
    assert external.choose("auto", "ann", tmp_path / "ann", toy_rig(), []) is None
    assert external.choose("auto", "ann", None, toy_rig(), []) is None


def test_params_beside_the_clip_are_taken(tmp_path: Path) -> None:
    write_clip(tmp_path / "ann/talk.mp4", [50, 60])
    (tmp_path / "ann/params.npz").touch()
    chosen = external.choose("auto", "ann", tmp_path / "ann", toy_rig(), [])
    assert chosen is not None
    assert chosen.params == tmp_path / "ann/params.npz"
    assert external.choose("fit", "ann", tmp_path / "ann", toy_rig(), []) is None


def test_flame_tracks_and_another_rig(tmp_path: Path) -> None:
    """Those that come along are left, with a word; those that were asked for are an error."""
    union, own, remarks = transforms_folder(tmp_path), moves(4), []
    add_tracks(union, {"074_EMO-1": own, "074_EXP-2": own})
    assert external.choose("auto", "ann", union, toy_rig(), remarks) is None
    assert remarks == ["the capture brings FLAME tracks: set rig: flame to use them"]
    path = str(tmp_path / "074_EMO-1/flame_param")
    with pytest.raises(UserError, match="but the rig is toy: set rig: flame"):
        external.choose(path, "ann", union, toy_rig(), [])


def test_a_path_may_hold_the_subjects_name(tmp_path: Path) -> None:
    Subject(tmp_path)
    setting = str(tmp_path / "results/{subject}/track")
    chosen = external.choose(setting, "ann", None, toy_rig(), [])
    assert chosen is not None
    assert chosen.params == tmp_path / "results/ann/track/params.npz"
    assert chosen.cameras == tmp_path / "results/ann/track/cameras.json"
    with pytest.raises(UserError, match=r"expected params\.npz, an npz of FLAME's"):
        external.choose(setting, "bob", None, toy_rig(), [])


# -- plain -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("content", [b"", b"no npz", b"\x80\x04K\x01.", b"\x93NUMPY"])
def test_files_that_are_no_npz_are_refused(subject: Subject, content: bytes) -> None:
    path = subject.home / "given.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"given\.npz"):
        RigParams.load(path)
    with pytest.raises(UserError, match=r"given\.npz"):
        external.choose(str(path), "ann", None, subject.rig, [])


def test_an_array_alone_is_no_npz(subject: Subject) -> None:
    path = subject.home / "given.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(UserError, match="not an npz file"):
        RigParams.load(path)
    with pytest.raises(UserError, match="not an npz file"):
        external.choose(str(path), "ann", None, subject.rig, [])
