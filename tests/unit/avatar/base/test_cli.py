import argparse
import json
from pathlib import Path

import pytest

from avatar.base import cli, made
from avatar.base.errors import UserError


def _args(tmp_path: Path, subject: str = "anna") -> argparse.Namespace:
    return argparse.Namespace(
        subject=subject, results=tmp_path / "results", quiet=False, verbose=False
    )


def test_user_error_gives_one_line_a_record_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise UserError("clip.mp4 has no\nvideo stream: give a video")

    assert cli.run_stage("ingest", _args(tmp_path), work) == 2
    assert capsys.readouterr().err == "error: clip.mp4 has no video stream: give a video\n"
    record = tmp_path / "results/anna/failures/ingest.json"
    assert json.loads(record.read_text())["error"] == "clip.mp4 has no video stream: give a video"


def test_success_clears_the_failure_record(tmp_path: Path) -> None:
    record = tmp_path / "results/anna/failures/ingest.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert cli.run_stage("ingest", _args(tmp_path), lambda: None) == 0
    assert not record.exists()


def test_internal_error_is_recorded_and_keeps_its_traceback(tmp_path: Path) -> None:
    def work() -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError):
        cli.run_stage("pack", _args(tmp_path), work)
    record = tmp_path / "results/anna/failures/pack.json"
    assert "ZeroDivisionError" in json.loads(record.read_text())["error"]


def test_interruption_exits_75(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    assert cli.run_stage("train", _args(tmp_path), work) == 75
    assert "interrupted: run it again" in capsys.readouterr().err


def test_a_bad_subject_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_stage("ingest", _args(tmp_path, "../x"), lambda: None) == 2
    assert capsys.readouterr().err.startswith("error: subject name '../x' is not allowed")
    assert list(tmp_path.iterdir()) == []


def test_a_stage_stamps_its_success_and_takes_the_stamp_back_when_it_starts(tmp_path: Path) -> None:
    args = _args(tmp_path)
    args.made_from = "0123456789ab"
    stamp = made.stamp(tmp_path / "results/anna", "track", "0123456789ab")
    assert cli.run_stage("track", args, lambda: None) == 0
    assert stamp.is_file()

    def work() -> None:
        assert not stamp.exists()
        raise UserError("no face in any frame")

    assert cli.run_stage("track", args, work) == 2
    assert not stamp.exists()
