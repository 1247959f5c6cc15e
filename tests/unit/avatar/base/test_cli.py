import argparse
import errno
import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from avatar.base import cli, files, locks, made
from avatar.base.errors import UserError
from tests.disks import read_only, small_disk


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
    used = files.read_json(stamp)
    assert 0 <= used["seconds"] < 10
    assert 20 < used["peak_mib"] < 100_000

    def work() -> None:
        assert not stamp.exists()
        raise UserError("no face in any frame")

    assert cli.run_stage("track", args, work) == 2
    assert not stamp.exists()


def test_what_another_job_made_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the death of a workflow whose jobs go on; outside a job nobody waits."""
    args = _args(tmp_path)
    args.made_from = "0123456789ab"
    home = tmp_path / "results/anna"
    held = threading.Event()

    def other_job() -> None:
        with locks.lock(home / "locks/track.lock"):
            held.set()
            time.sleep(0.5)
            made.write(home, "track", "0123456789ab")

    def work() -> None:
        raise AssertionError

    monkeypatch.setattr(locks, "POLL", 0.05)
    other = threading.Thread(target=other_job)
    other.start()
    held.wait(10)
    assert cli.run_stage("track", args, work) == 75
    monkeypatch.setattr("avatar.base.slurm.job_end", lambda: time.time() + 60)
    assert cli.run_stage("track", args, work) == 0
    other.join()


@pytest.mark.fault("M1")
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO, errno.ENOENT])
def test_any_error_of_the_system_is_one_line_with_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def work() -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    assert cli.run_stage("ingest", _args(tmp_path), work) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: somewhere: {os.strerror(number)}")
    assert err.count("\n") == 1
    record = json.loads((tmp_path / "results/anna/failures/ingest.json").read_text())
    assert f"error: {record['error']}\n" == err
    assert cli.run_command(_args(tmp_path), work) == 2
    assert capsys.readouterr().err == err


@pytest.mark.fault("M1")
def test_too_little_memory_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_stage("track", _args(tmp_path), lambda: bytearray(1 << 60)) == 2
    assert capsys.readouterr().err.startswith("error: out of memory (MemoryError)")


@pytest.mark.fault("M1")
@pytest.mark.parametrize("what", ["results", "subject", "locks", "lock", "failures", "record"])
def test_what_is_in_the_way_of_a_record_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    home = tmp_path / "results/anna"
    place = {
        "results": home.parent, "subject": home, "locks": home / "locks",
        "lock": home / "locks/ingest.lock", "failures": home / "failures",
        "record": home / "failures/ingest.json",
    }[what]  # fmt: skip
    place.parent.mkdir(parents=True, exist_ok=True)
    if what in ("lock", "record"):
        place.mkdir()
    else:
        place.write_text("in the way")
    called: list[int] = []
    assert cli.run_stage("ingest", _args(tmp_path), lambda: called.append(1)) == 2
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if line.startswith("error:")] == err[-1:]
    assert str(place) in err[-1]
    assert not called


@pytest.mark.fault("M1")
def test_the_real_error_is_told_where_its_record_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        (tmp_path / "results/anna/failures").write_text("in the way")
        raise UserError("clip.mp4 is no video")

    assert cli.run_stage("ingest", _args(tmp_path), work) == 2
    *before, last = capsys.readouterr().err.splitlines()
    assert last == "error: clip.mp4 is no video"
    assert len(before) == 1
    assert "failures/ingest.json could not be written" in before[0]


@pytest.mark.fault("M1")
def test_results_that_cannot_be_written_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "results") as disk:
        (disk / "anna/locks").mkdir(parents=True)
        with read_only(disk):
            assert cli.run_stage("ingest", _args(tmp_path), lambda: None) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Read-only file system" in err
    assert "anna/locks/ingest.lock" in err


@pytest.mark.fault("H2")
def test_a_full_disk_is_recorded_once_the_temporary_file_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "results", 256) as disk:

        def work() -> None:
            files.write_text(disk / "anna/ingest/index.json", "x" * (1 << 20))

        assert cli.run_stage("ingest", _args(tmp_path), work) == 2
        err = capsys.readouterr().err
        record = json.loads((disk / "anna/failures/ingest.json").read_text())
        assert f"error: {record['error']}\n" == err
        assert "index.json cannot be written: No space left on device" in err
        assert not list((disk / "anna/ingest").iterdir())


@pytest.mark.fault("H2")
def test_an_answer_that_cannot_be_printed_is_one_line() -> None:
    code = (
        "import argparse\nfrom avatar.base import cli\n"
        "args = argparse.Namespace(quiet=False, verbose=False)\n"
        "raise SystemExit(cli.run_command(args, lambda: print('answer')))"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.stderr.startswith(b"error: a file cannot be written: No space left on device")


@pytest.mark.fault("L6")
def test_escape_codes_reach_neither_terminal_nor_record_nor_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        logging.getLogger("pipeline").warning("odd: %s", "\x1b]0;title\x07\nsecond")
        raise UserError("\x1b[2Jcaptures/\x9b31m.mp4\r: no video")

    assert cli.run_stage("ingest", _args(tmp_path), work) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 2
    assert err.replace("\n", "").isprintable()
    text = (tmp_path / "results/anna/failures/ingest.json").read_text()
    assert json.loads(text)["error"] == r"\x1b[2Jcaptures/\x9b31m.mp4 : no video"


def test_a_note_stands_in_the_progress_line(capsys: pytest.CaptureFixture[str]) -> None:
    cli.set_up(argparse.Namespace(quiet=False, verbose=False))
    assert list(cli.progress(range(3), "train", note=lambda: "loss 0.5")) == [0, 1, 2]
    last = capsys.readouterr().err.rstrip().splitlines()[-1]
    assert "3/3" in last
    assert last.endswith(", loss 0.5]")


def test_quiet_and_verbose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        log = logging.getLogger("pipeline.example")
        log.debug("small"), log.info("usual"), log.warning("large")

    heard = {}
    for quiet, verbose in ((True, False), (False, False), (False, True)):
        args = argparse.Namespace(quiet=quiet, verbose=verbose)
        assert cli.run_command(args, work) == 0
        heard[quiet, verbose] = [line.split()[-1] for line in capsys.readouterr().err.splitlines()]
        logging.getLogger("pipeline").setLevel(logging.NOTSET)
    assert heard[True, False] == ["large"]
    assert heard[False, False] == ["usual", "large"]
    assert heard[False, True] == ["small", "usual", "large"]


@pytest.mark.fault("4.9")
def test_an_interruption_is_75_though_nobody_reads_any_more(tmp_path: Path) -> None:
    code = (
        "import argparse, pathlib, sys\nfrom avatar.base import cli\n"
        f"args = argparse.Namespace(quiet=False, verbose=False, subject='anna', "
        f"results=pathlib.Path({str(tmp_path)!r}))\n"
        "def work():\n    raise KeyboardInterrupt\n"
        "raise SystemExit(cli.run_stage('train', args, work))"
    )
    command = f'{sys.executable} -c "$CODE" 2>&1 | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "CODE": code}, capture_output=True, check=True
    )
    assert done.stdout == b"75\n"
