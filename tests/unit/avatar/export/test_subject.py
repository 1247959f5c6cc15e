import copy
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from avatar.export.subject import Subject
from avatar.rig import HeadRig
from tests.unit.avatar.export.subjects import STEPS, save_subject


def test_an_avatar_is_found_with_its_rig(rig: HeadRig, tmp_path: Path) -> None:
    home = save_subject(tmp_path, rig)
    subject = Subject.load("toy", tmp_path)
    assert subject.home == home
    assert subject.rig.sha256 == rig.sha256
    assert len(subject.avatar.params) == STEPS
    (tmp_path / "rigs").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"rigs/{rig.name}.npz"):
        Subject.load("toy", tmp_path)
    given = Subject.load("toy", tmp_path, tmp_path / f"elsewhere/{rig.name}.npz")
    assert given.rig.sha256 == rig.sha256


@pytest.mark.parametrize("name", ["../toy", "rigs"])
def test_names_are_checked(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="subject name"):
        Subject.load(name, tmp_path)


def test_a_subject_without_an_avatar(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train the subject first"):
        Subject.load("anna", tmp_path)


def test_timesteps_and_the_licence_of_the_rig(rig: HeadRig, tmp_path: Path) -> None:
    save_subject(tmp_path, rig)
    subject = Subject.load("toy", tmp_path)
    assert subject.check_timestep(STEPS - 1) == STEPS - 1
    for timestep in (-1, STEPS):
        with pytest.raises(UserError, match=rf"timestep {timestep}: toy has 0\.\.{STEPS - 1}"):
            subject.check_timestep(timestep)
    subject.check_licence(False, "toy.glb")
    licensed = copy.copy(subject.rig)
    licensed.source_sha256 = "0" * 64
    other = Subject(subject.home, licensed, subject.avatar)
    other.check_licence(True, "toy.glb")
    with pytest.raises(UserError, match=r"toy.glb contains .* give --include-licensed-rig"):
        other.check_licence(False, "toy.glb")
