"""Checkpoints: whole or not there; and runs that go on from one, bit for bit."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.rig import HeadRig
from avatar.train.checkpoint import Checkpoints, run_key
from avatar.train.presets import QUICK, Preset, override
from avatar.train.trainer import Trainer
from tests.scenes import write_scene
from tests.unit.avatar.train.runs import (
    BUDGET,
    EVERYTHING,
    KEY,
    a_snapshot,
    advance,
    assert_same,
    finished,
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "c", KEY).save(a_snapshot(40))
    back = Checkpoints(tmp_path / "c", KEY).load()
    assert back is not None
    assert back.tensors["x"].tolist() == [1, 1, 1]
    assert back.numbers == {"images": 40, "share": 0.1 + 0.2}
    assert Checkpoints(tmp_path / "none", KEY).load() is None


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    for images in (8, 16, 1000):
        checkpoints.save(a_snapshot(images))
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == [f"{n:09d}.{kind}" for n in (16, 1000) for kind in ("json", "safetensors")]


@pytest.mark.parametrize(
    "damage", ["flip", "cut", "empty", "no tensors", "bad json", "no key", "number"]
)
def test_a_damaged_one_gives_way_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    checkpoints.save(a_snapshot(8, 1.0))
    checkpoints.save(a_snapshot(16, 2.0))
    about = checkpoints.folder / "000000016.json"
    tensors = about.with_suffix(".safetensors")
    data = bytearray(tensors.read_bytes())
    if damage == "flip":
        data[-2] ^= 4
        tensors.write_bytes(data)
    elif damage == "cut":
        tensors.write_bytes(data[:-5])
    elif damage == "empty":
        tensors.write_bytes(b"")
    elif damage == "no tensors":
        tensors.unlink()
    elif damage == "bad json":
        about.write_text('{"key": ')
    elif damage == "number":
        about.write_text(about.read_text().replace('"images": 16', '"images": 17'))
    else:
        about.write_text("[1, 2]")
    with caplog.at_level(logging.WARNING):
        back = checkpoints.load()
    assert back is not None
    assert back.numbers["images"] == 8
    assert "is damaged: taking the one before it" in caplog.text
    # What is damaged does not count among the two that are kept.
    checkpoints.save(a_snapshot(12, 3.0))
    assert sorted(p.stem for p in checkpoints.folder.glob("*.json")) == ["000000008", "000000012"]


def test_another_run_starts_afresh_says_what_changed_and_keeps_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Checkpoints(tmp_path, KEY).save(a_snapshot(8))
    other = Checkpoints(tmp_path, KEY | {"preset": "x", "seed": "1"})
    with caplog.at_level(logging.WARNING):
        assert other.load() is None
    assert "another run (preset, seed changed): starting afresh" in caplog.text
    other.save(a_snapshot(4))
    back = Checkpoints(tmp_path, KEY).load()
    assert back is not None
    assert back.numbers["images"] == 8
    other.clear()
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("obstacle", ["a file", "a folder"])
def test_what_cannot_be_written_is_one_line_and_harms_nothing(
    tmp_path: Path, obstacle: str
) -> None:
    checkpoints = Checkpoints(tmp_path / "c", KEY)
    if obstacle == "a file":  # where the folder should be
        (tmp_path / "c").write_text("x")
    else:  # where the checkpoint should be
        checkpoints.save(a_snapshot(4))
        (checkpoints.folder / "000000008.safetensors/x").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no checkpoint could be written to .* GiB are free"):
        checkpoints.save(a_snapshot(8))
    back = checkpoints.load()
    assert (back is None) == (obstacle == "a file")


def test_the_key_knows_dataset_parameters_preset_and_seed(
    scene: Path, rig: HeadRig, tmp_path: Path
) -> None:
    other = write_scene(tmp_path / "other.h5", rig, seed=1)
    with Dataset(scene) as one, Dataset(other) as two:
        key = run_key(one, one.params, QUICK, 0)
        assert key == run_key(one, one.params, QUICK, 0)
        assert _changed(key, run_key(two, one.params, QUICK, 0)) == {"dataset"}
        moved = replace(one.params, neck_shift=one.params.neck_shift + 1e-7)
        assert _changed(key, run_key(one, moved, QUICK, 0)) == {"params"}
        assert _changed(key, run_key(one, one.params, override(QUICK, {"images": 9}), 0)) == {
            "preset"
        }
        assert _changed(key, run_key(one, one.params, QUICK, 1)) == {"seed"}
        # Memory for frames changes no bit.
        assert key == run_key(one, one.params, override(QUICK, {"cache_mib": 7}), 0)


def _changed(one: dict[str, str], two: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != two[name]}


# Before and while densifying, just before and after the reset, between two rounds, at the end.
@pytest.mark.parametrize("preset", [EVERYTHING, BUDGET], ids=["adaptive", "budget"])
@pytest.mark.parametrize("k", [4, 40, 52, 60, 64, 88])
def test_a_resumed_run_is_the_same_run(
    scene: Path, rig: HeadRig, tmp_path: Path, k: int, preset: Preset
) -> None:
    with Dataset(scene) as dataset:
        whole = finished(dataset, rig, preset)
        first = Trainer(dataset, dataset.params, rig, preset)
        advance(first, k)
        assert first.images == k
        checkpoints = Checkpoints(tmp_path, run_key(dataset, dataset.params, preset, 0))
        checkpoints.save(first.snapshot())
        snapshot = checkpoints.load()
        assert snapshot is not None
        second = Trainer(dataset, dataset.params, rig, preset)
        second.restore(snapshot)
        assert_same(first, second)
        advance(second, preset.images)
        assert_same(whole, second)


def test_a_state_that_is_not_finite_is_no_checkpoint(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, EVERYTHING)
        advance(trainer, 8)
        trainer.gaussians.log_scales.data[3] = torch.nan
        with pytest.raises(UserError, match=r"optimiser\.log_scales is not finite"):
            trainer.snapshot()
