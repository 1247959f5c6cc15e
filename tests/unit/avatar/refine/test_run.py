"""The stage refine: what it writes, when it is stopped, and what it refuses."""

import json
import os
import signal
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from avatar.data.dataset import Dataset
from avatar.data.digest import dataset_sha256
from avatar.refine.__main__ import main
from avatar.rig import HeadRig, RigParams
from tests.rigs import toy_rig
from tests.scenes import write_scene


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the dataset of anna."""
    folder = tmp_path_factory.mktemp("results")
    rig = toy_rig()
    rig.save(folder / "toy.npz")
    write_scene(folder / "anna/dataset.h5", rig, cameras=2)
    return folder


@pytest.fixture
def arguments(packed: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna/dataset.h5").symlink_to(packed / "anna/dataset.h5")
    return ["--subject", "anna", "--results", str(tmp_path), "--rig", str(packed / "toy.npz")]


def _moved(dataset: Dataset, *_: object) -> tuple[RigParams, dict[str, float]]:
    params: RigParams = dataset.params
    return replace(params, expr=params.expr + 1), {"gain": 2.5, "unknown": float("nan")}


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("error:")]
    return line


def test_the_command_writes_parameters_and_quality(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.refine.run.refine_poses", _moved)
    assert main(arguments) == 0
    folder = tmp_path / "anna/refine"
    assert sorted(path.name for path in folder.iterdir()) == ["params.npz", "quality.json"]
    with Dataset(tmp_path / "anna/dataset.h5") as dataset:
        expected, _ = _moved(dataset)
        digest = dataset_sha256(dataset)
    for name, value in RigParams.load(folder / "params.npz").arrays().items():
        np.testing.assert_array_equal(value, expected.arrays()[name], err_msg=name)
    assert json.loads((folder / "quality.json").read_text()) == {
        "status": "pass",
        "metrics": {"gain": 2.5, "unknown": None, "dataset_sha256": digest},
        "messages": [],
    }
    assert list((tmp_path / "anna/made").glob("refine-by-hand.json"))


def test_switched_off_it_passes_the_tracks_parameters_on(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.refine.run.refine_poses", _moved)
    assert main([*arguments, "--set", "enabled=false"]) == 0
    with Dataset(tmp_path / "anna/dataset.h5") as dataset:
        tracked = dataset.params
    for name, value in RigParams.load(tmp_path / "anna/refine/params.npz").arrays().items():
        np.testing.assert_array_equal(value, tracked.arrays()[name], err_msg=name)


@pytest.mark.fault("4.9")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_stopped_it_exits_with_75_and_the_former_result_stays(
    arguments: list[str],
    tmp_path: Path,
    signum: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    assert main([*arguments, "--set", "enabled=false"]) == 0
    former = (tmp_path / "anna/refine/params.npz").read_bytes()

    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signum)
        time.sleep(5)

    # Ignored in a shell's `&`, which is inherited; pytest's own is the same as this.
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT)))
    signal.signal(signal.SIGINT, signal.default_int_handler)

    monkeypatch.setattr("avatar.refine.run.refine_poses", interrupted)
    capsys.readouterr()
    assert main(arguments) == 75
    assert _error(capsys) == "error: anna/refine was interrupted: run it again"
    assert (tmp_path / "anna/refine/params.npz").read_bytes() == former
    assert not (tmp_path / "anna/.refine.new").exists()
    assert not (tmp_path / "anna/failures/refine.json").exists()


def test_another_rig_or_no_dataset_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other: HeadRig = toy_rig()
    other.v_template[0] += 0.01
    other.save(tmp_path / "other.npz")
    assert main([*arguments[:-1], str(tmp_path / "other.npz")]) == 2
    assert "dataset.h5 was made with rig toy" in _error(capsys)
    (tmp_path / "anna/dataset.h5").unlink()
    assert main(arguments) == 2
    assert "dataset.h5" in _error(capsys)
    assert not (tmp_path / "anna/refine").exists()


def test_too_little_memory_is_one_line(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr("avatar.refine.run.refine_poses", full)
    assert main(arguments) == 2
    assert _error(capsys).startswith("error: out of memory: end other programs, or set refine.")
