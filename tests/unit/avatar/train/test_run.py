"""Runs that are stopped, fail or end, and what they leave behind."""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from avatar.base.errors import Busy, UserError
from avatar.data.dataset import Dataset
from avatar.export.__main__ import main as export_main
from avatar.gaussians.avatar_file import read_about
from avatar.rig import HeadRig
from avatar.train.__main__ import main
from avatar.train.checkpoint import Checkpoints, run_key
from avatar.train.clock import JOB_END, MARGIN
from avatar.train.presets import override
from avatar.train.run import run
from avatar.train.trainer import Trainer
from tests.scenes import pass_on
from tests.unit.avatar.train.runs import EVERYTHING, KEY, assert_same, finished


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint(
    scene: Path, rig: HeadRig, tmp_path: Path, signum: signal.Signals
) -> None:
    with Dataset(scene) as dataset:
        checkpoints = Checkpoints(tmp_path, run_key(dataset, dataset.params, EVERYTHING, 0))
        trainer = _Interrupted(dataset, dataset.params, rig, EVERYTHING)
        trainer.signum = signum
        with pytest.raises(Busy, match="stopped by a signal after 12 images"):
            run(trainer, checkpoints, minutes=60)
        assert max(p.stem for p in tmp_path.rglob("*.json")) == "000000012"
        second = Trainer(dataset, dataset.params, rig, EVERYTHING)
        snapshot = checkpoints.load()
        assert snapshot is not None
        second.restore(snapshot)
        run(second, checkpoints, minutes=60)
        assert_same(finished(dataset, rig, EVERYTHING), second)


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
        checkpoints = Checkpoints(tmp_path, run_key(dataset, dataset.params, EVERYTHING, 0))
        run(
            Trainer(dataset, dataset.params, rig, override(EVERYTHING, {"images": 16})),
            checkpoints,
            minutes=0,
        )
    assert sorted(p.stem for p in tmp_path.rglob("*.json")) == ["000000012", "000000016"]


def test_the_end_is_a_checkpoint_and_training_goes_on_without(
    scene: Path, rig: HeadRig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = override(EVERYTHING, {"images": 8})
    with Dataset(scene) as dataset:
        run(
            Trainer(dataset, dataset.params, rig, short),
            Checkpoints(tmp_path / "c", KEY),
            minutes=60,
        )
        assert max(p.stem for p in (tmp_path / "c").rglob("*.json")) == "000000008"
        (tmp_path / "d").write_text("in the way")
        trainer = Trainer(dataset, dataset.params, rig, short)
        with caplog.at_level(logging.WARNING):
            run(trainer, Checkpoints(tmp_path / "d", KEY), minutes=0)
    assert trainer.images == 8
    assert "no checkpoint could be written" in caplog.text


def test_a_value_that_is_not_finite_is_found_at_the_end(
    scene: Path, rig: HeadRig, tmp_path: Path
) -> None:
    """Renderers hide such a Gaussian, so no loss shows it."""
    with Dataset(scene) as dataset:
        trainer = Trainer(dataset, dataset.params, rig, override(EVERYTHING, {"images": 16}))
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
    pass_on(home, tmp_path / "toy.npz")
    settings = {"preset": preset, "overrides": overrides}
    return [
        "--subject",
        "anna",
        "--results",
        str(tmp_path / "results"),
        "--rig",
        str(tmp_path / "toy.npz"),
        "--settings",
        json.dumps(settings),
    ]


def test_the_viewer_is_asked_for_by_flags(
    scene: Path, rig: HeadRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = _home(scene, rig, tmp_path, images=8)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert main([*arguments, "--viewer", "--port", port]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: port {port} cannot be used")
        assert main([*arguments, "--port", port]) == 0, "no viewer, no port"
    assert "viewer: http" not in capsys.readouterr().err
    assert main([*arguments, "--viewer", "--port", "99999"]) == 2
    assert "train.port" in capsys.readouterr().err
    (tmp_path / "results/anna/avatar/avatar.safetensors").unlink()
    assert main([*arguments, "--viewer", "--port", "0"]) == 0
    assert "viewer: http://127.0.0.1:" in capsys.readouterr().err


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_exits_with_75_and_goes_on(
    scene: Path, rig: HeadRig, tmp_path: Path
) -> None:
    arguments = _home(scene, rig, tmp_path, images=100_000)
    home = tmp_path / "results/anna"
    process = subprocess.Popen(
        [sys.executable, "-m", "avatar.train", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
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


@pytest.mark.fault("4.9")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_names_its_checkpoint(
    scene: Path,
    rig: HeadRig,
    tmp_path: Path,
    signum: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = _home(scene, rig, tmp_path, images=24)
    monkeypatch.setattr("avatar.train.run.Trainer", _stopping_at(12, signum))
    assert main(arguments) == 75
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    (checkpoint,) = (tmp_path / "results/anna/checkpoints").glob("*/000000012.json")
    assert str(checkpoint.parent) in errors[0]
    assert "stopped by a signal after 12 images" in errors[0]


def test_an_unfinished_avatar_is_exported_from_its_checkpoint(
    scene: Path,
    rig: HeadRig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = _home(scene, rig, tmp_path, images=24)
    export = ["ply", "anna", *arguments[2:6], "--checkpoint"]
    assert export_main(export) == 2
    assert "has no checkpoint with an avatar" in capsys.readouterr().err
    monkeypatch.setattr("avatar.train.run.Trainer", _stopping_at(12))
    assert main(arguments) == 75
    home = tmp_path / "results/anna"
    assert export_main(export) == 0
    assert (home / "export/anna_000000.ply").stat().st_size > 10_000
    (folder,) = home.glob("checkpoints/*/avatar")
    about = read_about(folder)
    assert about is not None
    assert (about["images"], about["unfinished"]) == (12, True)


def _stopping_at(images: int, signum: signal.Signals = signal.SIGTERM) -> type[Trainer]:
    class Stopping(Trainer):
        def steps(self):
            for count in super().steps():
                if self.images == images:
                    os.kill(os.getpid(), signum)
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
    assert saved[-1:] == ([] if where == "run_key" else ["000000008"])
    assert main(arguments) == 0


def test_the_last_state_stays_and_a_finished_avatar_is_not_trained_again(
    scene: Path, rig: HeadRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is evaluated: a job that ended just after its time is repeated."""
    arguments = _home(scene, rig, tmp_path, images=24)
    home = tmp_path / "results/anna"
    assert main(arguments) == 0
    (last,) = (home / "checkpoints").glob("*/000000024.json")
    with monkeypatch.context() as patch:
        patch.setattr("avatar.train.run.Trainer", None)
        assert main(arguments) == 0
    shutil.rmtree(home / "avatar")
    assert main(arguments) == 0  # no step is done again
    seconds = json.loads(last.read_text())["seconds"]
    assert read_about(home / "avatar")["seconds"] == pytest.approx(seconds, abs=1e-3)
    other = json.dumps({"preset": "quick", "seed": 1, "overrides": {"images": 24}})
    assert main([*arguments[:-1], other]) == 0
    assert read_about(home / "avatar")["seed"] == 1  # not the one of other settings


@pytest.mark.slow
def test_training_stops_before_the_end_of_its_job(
    scene: Path,
    rig: HeadRig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = _home(scene, rig, tmp_path, images=100_000)
    end = time.time() + MARGIN + 5
    monkeypatch.setattr("avatar.base.slurm.job_end", lambda: end)
    assert main(arguments) == 75
    assert time.time() < end
    assert f"error: training was stopped by {JOB_END} after " in capsys.readouterr().err
    *_, checkpoint = sorted((tmp_path / "results/anna/checkpoints").rglob("[0-9]*.json"))
    assert json.loads(checkpoint.read_text())["numbers"]["of"] == 100_000


def test_a_gpu_that_was_asked_for_and_is_not_there_is_a_warning(
    scene: Path,
    rig: HeadRig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert main(_home(scene, rig, tmp_path, preset="auto", images=8)) == 0
    assert "WARNING a GPU was asked for (CUDA_VISIBLE_DEVICES=0)" in capsys.readouterr().err
    about = read_about(tmp_path / "results/anna/avatar")
    assert about is not None
    assert about["preset"]["name"] == "quick"


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
