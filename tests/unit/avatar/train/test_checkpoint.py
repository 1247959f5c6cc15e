"""Checkpoints: whole or not there; and runs that go on from one, bit for bit."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avatar.base.errors import Busy, UserError
from avatar.data.dataset import Dataset
from avatar.gaussians.avatar_file import read_about
from avatar.rig import HeadRig
from avatar.train.__main__ import main
from avatar.train.checkpoint import Checkpoints, Snapshot, run_key
from avatar.train.presets import QUICK, Preset, override
from avatar.train.run import run
from avatar.train.trainer import Trainer
from tests.rigs import toy_rig
from tests.scenes import write_scene

KEY = {"dataset": "a", "preset": "b", "seed": "0", "code": "c"}
# Three training cameras and four timesteps; steps of four images. Densified at 40, 60, 80; reset
# at 64; degree 1 from 32 on; a basis, corrected cameras and every optional loss.
EVERYTHING = override(
    QUICK,
    {
        "images": 96,
        "sh_degree": 1,
        "sh_interval": 32,
        "start": {"color_frames": 2},
        "batch": {"background": "random"},
        "loss": {"opacity": 0.01, "alpha": 0.1},
        "density": {
            "interval": 20, "first": 20, "last": 100, "most": 900, "gradient": 1e-6,
            "reset_interval": 64,
        },
        "basis": {"size": 3},
        "correct_colors": True,
    },
)  # fmt: skip
BUDGET = override(
    EVERYTHING,
    {"density": {"kind": "budget", "noise": 100.0, "min_opacity": 0.4, "reset_interval": 0}},
)


@pytest.fixture(scope="module")
def rig() -> HeadRig:
    return toy_rig()


@pytest.fixture(scope="module")
def scene(rig: HeadRig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "dataset.h5", rig)


def _snapshot(images: int, value: float = 1.0) -> Snapshot:
    return Snapshot({"x": torch.full((3,), value)}, {"images": images, "share": 0.1 + 0.2})


def _advance(trainer: Trainer, images: int) -> None:
    for _ in trainer.steps():
        if trainer.images >= images:
            return


def _same(one: Trainer, two: Trainer) -> None:
    first, second = one.snapshot(), two.snapshot()
    assert first.numbers == second.numbers
    assert first.tensors.keys() == second.tensors.keys()
    for name, value in first.tensors.items():
        assert torch.equal(value, second.tensors[name]), name


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "c", KEY).save(_snapshot(40))
    back = Checkpoints(tmp_path / "c", KEY).load()
    assert back is not None
    assert back.tensors["x"].tolist() == [1, 1, 1]
    assert back.numbers == {"images": 40, "share": 0.1 + 0.2}
    assert Checkpoints(tmp_path / "none", KEY).load() is None


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    for images in (8, 16, 1000):
        checkpoints.save(_snapshot(images))
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == [f"{n:09d}.{kind}" for n in (16, 1000) for kind in ("json", "safetensors")]


@pytest.mark.parametrize(
    "damage", ["flip", "cut", "empty", "no tensors", "bad json", "no key", "number"]
)
def test_a_damaged_one_gives_way_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, KEY)
    checkpoints.save(_snapshot(8, 1.0))
    checkpoints.save(_snapshot(16, 2.0))
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
    checkpoints.save(_snapshot(12, 3.0))
    assert sorted(p.stem for p in checkpoints.folder.glob("*.json")) == ["000000008", "000000012"]


def test_another_run_starts_afresh_says_what_changed_and_keeps_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Checkpoints(tmp_path, KEY).save(_snapshot(8))
    other = Checkpoints(tmp_path, KEY | {"preset": "x", "seed": "1"})
    with caplog.at_level(logging.WARNING):
        assert other.load() is None
    assert "another run (preset, seed changed): starting afresh" in caplog.text
    other.save(_snapshot(4))
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
        checkpoints.save(_snapshot(4))
        (checkpoints.folder / "000000008.safetensors/x").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no checkpoint could be written to .* GiB are free"):
        checkpoints.save(_snapshot(8))
    back = checkpoints.load()
    assert (back is None) == (obstacle == "a file")


def test_the_key_knows_dataset_preset_and_seed(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    other = write_scene(tmp_path / "other.h5", rig, seed=1)
    with Dataset(scene) as one, Dataset(other) as two:
        key = run_key(one, QUICK, 0)
        assert key == run_key(one, QUICK, 0)
        assert _changed(key, run_key(two, QUICK, 0)) == {"dataset"}
        assert _changed(key, run_key(one, override(QUICK, {"images": 9}), 0)) == {"preset"}
        assert _changed(key, run_key(one, QUICK, 1)) == {"seed"}
        # Memory for frames changes no bit.
        assert key == run_key(one, override(QUICK, {"cache_mib": 7}), 0)


def _changed(one: dict[str, str], two: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != two[name]}


# Before and while densifying, just before and after the reset, between two rounds, at the end.
@pytest.mark.parametrize("preset", [EVERYTHING, BUDGET], ids=["adaptive", "budget"])
@pytest.mark.parametrize("k", [4, 40, 52, 60, 64, 88])
def test_a_resumed_run_is_the_same_run(
    scene: Path, rig: HeadRig, tmp_path: Path, k: int, preset: Preset
) -> None:
    with Dataset(scene) as dataset:
        whole = _finished(dataset, rig, preset)
        first = Trainer(dataset, rig, preset)
        _advance(first, k)
        assert first.images == k
        checkpoints = Checkpoints(tmp_path, run_key(dataset, preset, 0))
        checkpoints.save(first.snapshot())
        snapshot = checkpoints.load()
        assert snapshot is not None
        second = Trainer(dataset, rig, preset)
        second.restore(snapshot)
        _same(first, second)
        _advance(second, preset.images)
        _same(whole, second)


_runs: dict[str, Trainer] = {}


def _finished(dataset: Dataset, rig: HeadRig, preset: Preset) -> Trainer:
    """The uninterrupted run, once for each kind."""
    kind = preset.density.kind
    if kind not in _runs:
        _runs[kind] = Trainer(dataset, rig, preset)
        for _ in _runs[kind].steps():
            pass
        assert len(_runs[kind].gaussians) > len(rig.faces)
    return _runs[kind]


def test_a_state_that_is_not_finite_is_no_checkpoint(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, rig, EVERYTHING)
        _advance(trainer, 8)
        trainer.gaussians.log_scales.data[3] = torch.nan
        with pytest.raises(UserError, match=r"optimiser\.log_scales is not finite"):
            trainer.snapshot()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint(
    scene: Path, rig: HeadRig, tmp_path: Path, signum: signal.Signals
) -> None:
    with Dataset(scene) as dataset:
        checkpoints = Checkpoints(tmp_path, run_key(dataset, EVERYTHING, 0))
        trainer = _Interrupted(dataset, rig, EVERYTHING)
        trainer.signum = signum
        with pytest.raises(Busy, match="stopped after 12 images"):
            run(trainer, checkpoints, minutes=60)
        assert [p.stem for p in tmp_path.rglob("*.json")] == ["000000012"]
        second = Trainer(dataset, rig, EVERYTHING)
        snapshot = checkpoints.load()
        assert snapshot is not None
        second.restore(snapshot)
        run(second, checkpoints, minutes=60)
        _same(_finished(dataset, rig, EVERYTHING), second)


class _Interrupted(Trainer):
    """Gets a real signal in its third step."""

    signum = signal.SIGTERM

    def steps(self):
        for images in super().steps():
            if self.step == 3:
                os.kill(os.getpid(), self.signum)
            yield images


def test_checkpoints_are_written_by_the_clock(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    with Dataset(scene) as dataset:
        checkpoints = Checkpoints(tmp_path, run_key(dataset, EVERYTHING, 0))
        run(Trainer(dataset, rig, override(EVERYTHING, {"images": 16})), checkpoints, minutes=0)
    assert sorted(p.stem for p in tmp_path.rglob("*.json")) == ["000000012", "000000016"]


def test_the_end_is_a_checkpoint_and_training_goes_on_without(
    scene: Path, rig: HeadRig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = override(EVERYTHING, {"images": 8})
    with Dataset(scene) as dataset:
        run(Trainer(dataset, rig, short), Checkpoints(tmp_path / "c", KEY), minutes=60)
        assert [p.stem for p in (tmp_path / "c").rglob("*.json")] == ["000000008"]
        (tmp_path / "d").write_text("in the way")
        trainer = Trainer(dataset, rig, short)
        with caplog.at_level(logging.WARNING):
            run(trainer, Checkpoints(tmp_path / "d", KEY), minutes=0)
    assert trainer.images == 8
    assert "no checkpoint could be written" in caplog.text


def test_a_value_that_is_not_finite_is_found_at_the_end(
    scene: Path, rig: HeadRig, tmp_path: Path
) -> None:
    """Renderers hide such a Gaussian, so no loss shows it."""
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, rig, override(EVERYTHING, {"images": 16}))
        next(trainer.steps())
        trainer.gaussians.log_scales.data[3] = torch.nan
        with pytest.raises(UserError, match=r"optimiser\.log_scales.* is not finite"):
            run(trainer, Checkpoints(tmp_path, KEY), minutes=60)


def _home(scene: Path, rig: HeadRig, tmp_path: Path, preset: str = "quick", **overrides) -> list:
    """A results folder with the scene as subject anna; returns the command's arguments."""
    home = tmp_path / "results/anna"
    home.mkdir(parents=True)
    rig.save(tmp_path / "toy.npz")
    (home / "dataset.h5").write_bytes(scene.read_bytes())
    settings = {"preset": preset, "overrides": overrides}
    return [
        "--subject", "anna", "--results", str(tmp_path / "results"),
        "--rig", str(tmp_path / "toy.npz"), "--settings", json.dumps(settings),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_exits_with_75_and_goes_on(
    scene: Path, rig: HeadRig, tmp_path: Path
) -> None:
    arguments = _home(scene, rig, tmp_path, images=100_000)
    home = tmp_path / "results/anna"
    process = subprocess.Popen(
        [sys.executable, "-m", "avatar.train", *arguments],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        while "Gaussians" not in process.stderr.readline():  # said just before it begins
            assert process.poll() is None
        time.sleep(2)
        process.send_signal(signal.SIGUSR1)
        rest = process.stderr.read()
        assert process.wait(120) == 75, rest
    finally:
        process.kill()
    errors = [line for line in rest.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "run it again to go on" in errors[0]
    assert not (home / "failures/train.json").exists()  # nothing failed
    assert not (home / "avatar").exists()
    (about,) = (home / "checkpoints").rglob("*.json")
    assert json.loads(about.read_text())["numbers"]["images"] == int(about.stem)


def test_the_command_goes_on_where_it_stopped(
    scene: Path, rig: HeadRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped three times, at the switch from small to full frames among others: the same files."""
    overrides = {
        "images": 48,
        "batch": {"coarse_images": 32, "coarse_above": 100},
        "start": {"color_frames": 2},
        "density": {"interval": 8, "first": 0, "last": 49, "gradient": 1e-6, "most": 700},
    }
    whole = _home(scene, rig, tmp_path / "whole", **overrides)
    assert main(whole) == 0
    parts = _home(scene, rig, tmp_path / "parts", **overrides)
    for images in (20, 32, 48):
        with monkeypatch.context() as patch:
            patch.setattr("avatar.train.run.Trainer", _stopping_at(images))
            assert main(parts) == 75
    assert main(parts) == 0
    one, two = (tmp_path / part / "results/anna/avatar" for part in ("whole", "parts"))
    for name in ("local_frame.ply", "rig_params.npz", "train_log.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    first, second = (read_about(folder) for folder in (one, two))
    assert first is not None
    assert second is not None
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"date", "seconds"}  # tensors are compared by their sha256


def _stopping_at(images: int) -> type[Trainer]:
    class Stopping(Trainer):
        def steps(self):
            for count in super().steps():
                if self.images == images:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield count

    return Stopping


@pytest.mark.parametrize("where", ["run_key", "write"])
def test_a_signal_before_or_after_the_steps_exits_with_75_as_well(
    scene: Path, rig: HeadRig, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = _home(scene, rig, tmp_path, images=8)

    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(5)

    with monkeypatch.context() as patch:
        patch.setattr(f"avatar.train.run.{where}", interrupted)
        assert main(arguments) == 75
    home = tmp_path / "results/anna"
    saved = [p.stem for p in (home / "checkpoints").rglob("*.json")]
    assert saved == ([] if where == "run_key" else ["000000008"])
    assert main(arguments) == 0


def test_success_removes_the_checkpoints(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    arguments = _home(scene, rig, tmp_path, images=24)
    home = tmp_path / "results/anna"
    Checkpoints(home / "checkpoints", KEY).save(_snapshot(8))  # of another run
    assert main(arguments) == 0
    assert (home / "avatar/avatar.safetensors").exists()
    assert not (home / "checkpoints").exists()


def test_a_diverged_run_keeps_its_last_checkpoint(
    scene: Path, rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _home(scene, rig, tmp_path, images=4000, rates={"scales": 1e30})
    settings = json.loads(arguments[-1]) | {"checkpoint_minutes": 0.0}
    assert main([*arguments[:-1], json.dumps(settings)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "training diverged after" in errors[0]
    assert "is not finite" in errors[0]
    assert list((tmp_path / "results/anna/checkpoints").rglob("*.json"))


@pytest.mark.slow
def test_too_little_memory_is_one_line(scene: Path, rig: HeadRig, tmp_path: Path) -> None:
    """Really too little: the process may not map more than 6 GB, and its basis needs more."""
    arguments = _home(scene, rig, tmp_path, basis={"size": 100_000}, start={"color_frames": 0})
    limited = ["bash", "-c", 'ulimit -v 6000000; exec "$@"', "-", sys.executable, "-m"]
    done = subprocess.run(
        [*limited, "avatar.train", *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "out of memory: lower train.overrides.cache_mib" in errors[0]


def test_nothing_visible_is_one_line(scene: Path, rig: HeadRig) -> None:
    with Dataset(scene) as dataset:
        away = dataset.params.translation + torch.tensor([100.0, 0, 0])
        dataset.__dict__["params"] = replace(dataset.params, translation=away)
        trainer = Trainer(dataset, rig, override(EVERYTHING, {"images": 400, "basis": {"size": 0}}))
        with pytest.raises(UserError, match="nothing was visible in the last 200 of 200 images"):
            for _ in trainer.steps():
                pass
