import copy
from pathlib import Path

import gsply
import pytest

from avatar.export import __main__ as command
from avatar.export import run
from avatar.rig import HeadRig
from tests.unit.avatar.export.subjects import save_subject


def test_the_command_writes_and_names_the_file(
    rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_subject(tmp_path, rig)
    common = ["toy", "--results", str(tmp_path), "--timestep", "2"]
    assert command.main(["ply", *common]) == 0
    path = tmp_path / "toy/export/toy_000002.ply"
    assert capsys.readouterr().out == f"{path}\n"
    upright = gsply.plyread(path).means
    for up in (["--up", "-y"], ["--up=-y"]):
        assert command.main(["ply", *common, *up, "--output", str(tmp_path / "other.ply")]) == 0
        assert (gsply.plyread(tmp_path / "other.ply").means == upright * [1, -1, -1]).all()


def test_meshes(rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_subject(tmp_path, rig)
    results = ["toy", "--results", str(tmp_path)]
    assert command.main(["glb", *results]) == 0
    assert command.main(["obj", *results, "--timestep", "1"]) == 0
    home = tmp_path / "toy/export"
    assert capsys.readouterr().out.split() == [str(home / "toy.glb"), str(home / "toy_obj")]
    rig = copy.copy(rig)
    rig.source_sha256 = "0" * 64
    rig.save(tmp_path / "rigs" / f"{rig.name}.npz")
    for what in command.MESHES:
        output = ["--output", str(tmp_path / what)]
        assert command.main([what, *results, *output]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert command.main([what, *results, *output, "--include-licensed-rig"]) == 0


def test_mistakes_are_one_line(
    rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_subject(tmp_path, rig)
    results = ["--results", str(tmp_path)]
    assert command.main(["ply", "toy", *results, "--timestep", "99"]) == 2
    assert command.main(["ply", "nobody", *results]) == 2
    for wrong in (["fbx", "toy"], ["ply"], ["ply", "toy", "--up"], ["ply", "toy", "--up", "x"]):
        with pytest.raises(SystemExit) as ended:
            command.main(wrong)
        assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("error: ") for line in lines)


def test_the_listed_formats_are_those_that_can_be_written() -> None:
    assert set(command.SCENES) == set(run.SCENES)
