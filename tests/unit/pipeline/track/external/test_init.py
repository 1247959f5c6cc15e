"""Which external track is taken."""

from pathlib import Path

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.rig import RigParams
from pipeline.track import external
from tests.flame_tracks import add_tracks, moves
from tests.hard_cases import transforms_folder
from tests.media_files import write_clip
from tests.rigs import toy_rig
from tests.subject import Subject


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


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


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
