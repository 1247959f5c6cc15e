"""What a run leaves, when it is left alone, and when it is replaced."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.gaussians.avatar_file import load_avatar, read_about
from avatar.rig import HeadRig, RigParams
from avatar.train import result
from avatar.train.checkpoint import run_key
from avatar.train.presets import QUICK, TrainSettings, override
from avatar.train.result import Run, is_finished, write
from avatar.train.run import train
from avatar.train.trainer import Trainer
from tests.scenes import pass_on, write_scene

SHORT = {"images": 8, "start": {"color_frames": 2}}


@pytest.fixture(scope="module")
def home(rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`results/anna` with a finished avatar; tests leave it as it was."""
    folder = tmp_path_factory.mktemp("results")
    rig.save(folder / "toy.npz")
    write_scene(folder / "anna/dataset.h5", rig, cameras=2)
    pass_on(folder / "anna", folder / "toy.npz")
    _train(folder / "anna")
    return folder / "anna"


def _train(home: Path, seed: int = 0, **overrides) -> None:
    settings = TrainSettings(preset="quick", overrides=SHORT | overrides, seed=seed)
    train("anna", home.parent, home.parent / "toy.npz", settings)


def _copy(home: Path, tmp_path: Path) -> Path:
    made = [path for part in ("refine", "avatar") for path in (home / part).iterdir()]
    for path in (home.parent / "toy.npz", home / "dataset.h5", *made):
        new = tmp_path / path.relative_to(home.parent)
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
    return tmp_path / "anna"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _fail(*_: object) -> None:
    raise AssertionError("it trained")


@pytest.mark.fault("4.2")
def test_a_finished_avatar_is_left_as_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _bytes(home / "avatar")
    os.utime(home / "avatar/avatar.safetensors", (0, 0))
    monkeypatch.setattr("avatar.train.run.Trainer", _fail)
    _train(home)
    assert _bytes(home / "avatar") == before
    assert (home / "avatar/avatar.safetensors").stat().st_mtime > 0  # touched


@pytest.mark.fault("4.2")
@pytest.mark.parametrize(
    "changed", ["seed", "preset", "dataset", "params", "file", "missing", "code"]
)
def test_any_other_is_trained_again(
    home: Path, rig: HeadRig, tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _copy(home, tmp_path)
    before = _bytes(other / "avatar")
    if changed == "dataset":
        write_scene(other / "dataset.h5", rig, cameras=2, seed=1)
        pass_on(other, tmp_path / "toy.npz")
    elif changed == "params":
        params = RigParams.load(other / "refine/params.npz")
        replace(params, rotation=params.rotation + 0.01).save(other / "refine/params.npz")
    elif changed == "file":
        (other / "avatar/local_frame.ply").write_bytes(b"ply")
    elif changed == "missing":
        (other / "avatar/rig_params.npz").unlink()
    elif changed == "code":
        monkeypatch.setattr("avatar.train.checkpoint.code_hash", lambda: "0" * 64)
    more = {"rates": {"means_first": 0.01}} if changed == "preset" else {}
    _train(other, seed=int(changed == "seed"), **more)
    about = load_avatar(other / "avatar", rig).about
    former = load_avatar(home / "avatar", rig).about
    assert read_about(other / "avatar") is not None
    same = changed in ("file", "missing", "code")
    assert (about["tensors_sha256"] == former["tensors_sha256"]) == same
    assert set(_bytes(other / "avatar")) == set(before)
    assert (other / "checkpoints").exists()


@pytest.mark.fault("4.2")
@pytest.mark.parametrize("where", ["steps", "writing", "reading"])
def test_a_failed_run_leaves_the_former_avatar(
    home: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _copy(home, tmp_path)
    before = _bytes(other / "avatar")
    overrides = {}
    if where == "steps":
        overrides = {"rates": {"scales": 1e30}, "images": 400}
    elif where == "writing":
        (other / ".avatar.new").write_text("in the way")
    else:

        def damaged(*_: object) -> None:
            raise UserError("damaged")

        monkeypatch.setattr(result, "load_avatar", damaged)
    with pytest.raises((UserError, OSError)):
        _train(other, seed=1, **overrides)
    assert _bytes(other / "avatar") == before


@pytest.mark.fault("4.6")
def test_the_metadata_say_how_it_was_made(home: Path, rig: HeadRig) -> None:
    about = load_avatar(home / "avatar", rig).about
    assert about["preset"]["name"] == "quick"
    assert about["images"] == about["preset"]["images"] == 8
    assert about["gaussians"] == len(rig.faces)
    assert about["background"] == "white"
    assert about["seconds"] > 0
    assert about["date"].endswith("+00:00")
    with Dataset(home / "dataset.h5") as dataset:
        key = run_key(dataset, dataset.params, override(QUICK, SHORT), 0)
    assert about["run"] == key | {"torso": "True"}
    assert about["torso"]
    assert about["dataset_sha256"] == key["dataset"]
    json.dumps(about)


@pytest.mark.fault("4.6")
def test_only_overrides_that_change_something_have_a_hash(home: Path, rig: HeadRig) -> None:
    with Dataset(home / "dataset.h5") as dataset:
        trainer = Trainer(dataset, dataset.params, rig, override(QUICK, SHORT))
    hashes = []
    for changes in ({}, {"images": QUICK.images}, {"cache_mib": 7}, {"images": 9}, {"images": 10}):
        run = Run("anna", override(QUICK, changes), QUICK, 0, True, {"dataset": "x"})
        hashes.append(run.about(trainer, rig)["overrides_hash"])
    assert hashes[:3] == ["", "", ""]
    assert len({*hashes[3:], ""}) == 3


def test_a_flame_avatar_has_its_parameters_beside_it(
    home: Path, rig: HeadRig, tmp_path: Path
) -> None:
    """The rig's name decides: a toy rig under the name of FLAME's."""
    flame = HeadRig(
        "flame",
        dict(rig.named_buffers()),
        rig.expr_names,
        rig.masks,
    )
    path = write_scene(tmp_path / "dataset.h5", flame, cameras=2)
    with Dataset(path) as dataset:
        preset = override(QUICK, SHORT)
        run = Run("anna", preset, QUICK, 0, True, run_key(dataset, dataset.params, preset, 0))
        trainer = Trainer(dataset, dataset.params, flame, preset)
        for _ in trainer.steps():
            pass
        write(tmp_path / "avatar", trainer, flame, run)
        assert is_finished(tmp_path / "avatar", run, flame)
        assert not is_finished(tmp_path / "avatar", replace(run, key={}), flame)
    assert "flame_param.npz" in _bytes(tmp_path / "avatar")
    assert "flame_param.npz" not in _bytes(home / "avatar")
