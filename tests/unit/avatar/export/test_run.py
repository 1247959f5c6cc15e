import copy
from dataclasses import replace
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.export.run import SCENES, export_glb, export_objs, export_scene
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


def test_meshes_are_written_beside_the_scenes(subject: Subject, tmp_path: Path) -> None:
    assert export_glb(subject, 0, "y", False) == subject.home / "export/toy.glb"
    folder = export_objs(subject, None, "y", False)
    assert folder == subject.home / "export/toy_obj"
    names = [f"{timestep:06d}.obj" for timestep in range(len(subject.avatar.params))]
    assert sorted(path.name for path in folder.iterdir()) == names
    export_objs(subject, 2, "y", False, tmp_path / "one")
    one = (tmp_path / "one/000002.obj").read_text()
    assert one == (folder / "000002.obj").read_text()
    assert len(list((tmp_path / "one").iterdir())) == 1
    for write in (export_glb, export_objs):
        with pytest.raises(UserError, match="timestep 6"):
            write(subject, 6, "y", False, tmp_path / "other")


def test_a_licensed_rig_is_written_only_where_asked(subject: Subject, tmp_path: Path) -> None:
    rig = copy.copy(subject.rig)
    rig.source_sha256 = "0" * 64
    licensed = replace(subject, rig=rig)
    for write in (export_glb, export_objs):
        output = tmp_path / write.__name__
        with pytest.raises(UserError, match="include-licensed-rig"):
            write(licensed, 0, "y", False, output)
        assert not output.exists()
        write(licensed, 0, "y", True, output)
        assert output.exists()
    export_scene("ply", licensed, 0, "y", tmp_path / "scene.ply")  # no part of the rig
