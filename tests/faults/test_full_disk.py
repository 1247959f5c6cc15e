"""Stages on a disk that is full, or with a limit on the size of files."""

import json
from pathlib import Path

import numpy as np
import pytest

from avatar.train import live
from pipeline import cli, media
from tests.disks import file_size_limit, small_disk
from tests.media_files import camera, write_cameras
from tests.subject import Subject


def _one_error(capsys: pytest.CaptureFixture[str], home: Path, stage: str) -> str:
    """The error line: the last one, without a traceback, and on record."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    *_, last = err.strip().splitlines()
    assert err.count("error: ") == 1
    record = json.loads((home / f"failures/{stage}.json").read_text())
    assert last == f"error: {record['error']}"
    return last


def _files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.fault("H2")
def test_ingest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = tmp_path / "capture"
    noise = np.random.default_rng(0).integers(0, 255, (12, 480, 640, 3), dtype=np.uint8)
    for name in "ab":
        media.write_video(capture / f"main/cam_{name}.mp4", iter(noise), 25, crf=20)
    write_cameras(capture, {name: camera(640, 480) for name in "ab"})
    with small_disk(tmp_path / "results") as disk:
        arguments = ["--subject", "anna", "--capture", str(capture), "--results", str(disk)]
        assert cli.main(["ingest", *arguments]) == 2
        line = _one_error(capsys, disk / "anna", "ingest")
        assert _files(disk) == {"anna/failures/ingest.json", "anna/locks/ingest.lock"}
    assert "frames.h5 cannot be written: No space left on device, it needs about 1" in line
    assert "1.5 MiB are free: make room" in line


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


def _run(subject: Subject, stage: str, *settings: str) -> int:
    arguments = ["--subject", "ann", "--results", str(subject.home.parent)]
    arguments += ["--rig", str(subject.rig_path)]
    return cli.main([stage, *arguments, *(f"--set={setting}" for setting in settings)])


@pytest.mark.fault("H2")
def test_pack_train_and_evaluate(subject: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "pack": [],
        "refine": [],
        "train": ["preset=quick", "overrides.images=8"],
        "evaluate": [],
    }
    for stage, given in settings.items():
        before = _files(subject.home)
        with file_size_limit(600):  # a failure's record fits
            assert _run(subject, stage, *given) == 2
        line = _one_error(capsys, subject.home, stage)
        assert "cannot be written: File too large" in line
        assert "files may have 0.6 KiB: raise ulimit -f" in line
        left = _files(subject.home) - before
        if stage == "train":  # what is seen of a run is small enough
            left = {name for name in left if Path(name).name not in (live.LOG, live.PICTURE)}
        assert left == {f"failures/{stage}.json", f"locks/{stage}.lock"}
        assert _run(subject, stage, *given) == 0
        assert not (subject.home / f"failures/{stage}.json").exists()
        capsys.readouterr()
