"""The parameters that training takes from the stage refine."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.rig import HeadRig, RigParams
from avatar.train.refined import refined_params
from tests.scenes import pass_on, write_scene


@pytest.fixture
def home(tmp_path: Path, rig: HeadRig, scene: Path) -> Path:
    folder = tmp_path / "anna"
    folder.mkdir()
    rig.save(tmp_path / "toy.npz")
    (folder / "dataset.h5").write_bytes(scene.read_bytes())
    pass_on(folder, tmp_path / "toy.npz")
    return folder


def _read(home: Path, rig: HeadRig) -> RigParams:
    with Dataset(home / "dataset.h5") as dataset:
        return refined_params(home, dataset, rig)


def test_they_are_those_of_the_stage(home: Path, rig: HeadRig) -> None:
    params = RigParams.load(home / "refine/params.npz")
    replace(params, expr=params.expr + 1).save(home / "refine/params.npz")
    assert torch.equal(_read(home, rig).expr, params.expr + 1)


def _few(home: Path, rig: HeadRig) -> None:
    params = RigParams.load(home / "refine/params.npz")
    replace(params, expr=params.expr[:, :2]).save(home / "refine/params.npz")


def _other_dataset(home: Path, rig: HeadRig) -> None:
    write_scene(home / "dataset.h5", rig, cameras=2, seed=1)


def _other_rig(home: Path, rig: HeadRig) -> None:
    params = RigParams.load(home / "refine/params.npz")
    replace(params, rig_sha256="0" * 64).save(home / "refine/params.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda home, _: (home / "refine/params.npz").unlink(), "does not exist"),
        (lambda home, _: (home / "refine/params.npz").write_bytes(b"x"), "is not an npz file"),
        (lambda home, _: (home / "refine/quality.json").write_text("[]"), "from another dataset"),
        (_other_dataset, r"was made from another dataset\.h5"),
        (_few, r"expr has shape \(6, 2\), expected \(6, 4\)"),
        (_other_rig, r"was made with rig toy \(000000000000\), given is toy"),
    ],
)
def test_what_does_not_fit_is_one_line(home: Path, rig: HeadRig, change, message: str) -> None:
    change(home, rig)
    with pytest.raises(UserError, match=message) as caught:
        _read(home, rig)
    assert "\n" not in str(caught.value)
    if change is not _other_rig:
        assert str(caught.value).endswith(": run 'snakemake anna --forcerun refine'")
