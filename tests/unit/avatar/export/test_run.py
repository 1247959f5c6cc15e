from pathlib import Path

import gsply
import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.export.run import SCENES, export_scene
from avatar.export.subject import Subject
from avatar.rig import HeadRig
from tests.unit.avatar.export.subjects import save_subject


@pytest.fixture(scope="module")
def subject(rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    results = tmp_path_factory.mktemp("results")
    save_subject(results, rig)
    return Subject.load("toy", results)


@pytest.mark.parametrize("what", SCENES)
def test_a_scene_is_the_avatar_at_its_timestep(subject: Subject, what: str, tmp_path: Path) -> None:
    path = export_scene(what, subject, 3, "y")
    assert path == subject.home / f"export/toy_000003.{what}"
    with torch.no_grad():
        means = subject.avatar.pose(subject.rig, 3)[1].means.numpy()
    read = {"ply": gsply.plyread, "spz": gsply.read_spz}[what]
    assert np.allclose(read(path).means, means, atol=2e-6)
    other = export_scene(what, subject, 3, "z", tmp_path / "other")
    turned = read(other).means
    assert np.allclose(turned, means[:, [0, 2, 1]] * [1, -1, 1], atol=2e-6)


def test_a_timestep_that_is_not_there(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="timestep 6"):
        export_scene("ply", subject, 6, "y", tmp_path / "scene.ply")
    assert not (tmp_path / "scene.ply").exists()
