"""The state of stages, from what they leave."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from avatar.base import made
from pipeline.status.read import StageStatus, read_status

QUEUE = """#!/bin/sh
cat <<'END'
11|PENDING||Resources|rule_track_wildcards_bert_0123456789ab
10|RUNNING|n2|None|rule_train_wildcards_anna_0123456789ab
9|FAILED|n1|NonZeroExitCode|rule_train_wildcards_anna_0123456789ab
8|RUNNING|n1|None|another program
END
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of two subjects, on a machine without Slurm."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    for subject in ("anna", "bert"):
        made.write(results / subject, "ingest", "0123456789ab", seconds=1.5)
    return results


def stage(results: Path, subject: str, name: str) -> StageStatus:
    return next(s for s in read_status(results) if (s.subject, s.stage) == (subject, name))


def leave(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_done_and_waiting(results: Path, tmp_path: Path) -> None:
    leave(tmp_path / "captures/carl.mp4", "")
    found = read_status(results)
    assert [s.state for s in found if s.subject == "carl"] == ["waiting"] * len(made.STAGES)
    ingest = stage(results, "anna", "ingest")
    assert (ingest.state, ingest.node) == ("done", socket.gethostname())
    assert ingest.seconds == 1.5
    assert ingest.peak_mib is not None
    assert ingest.peak_mib > 10
    assert stage(results, "anna", "matte").state == "waiting"


def test_a_log_that_is_a_link_to_nothing_is_none(results: Path) -> None:
    folder = results / "logs/anna"
    folder.mkdir(parents=True)
    (folder / "ingest-0123456789ab.log").symlink_to("ingest-0123456789ab.7.log")
    assert stage(results, "anna", "ingest").log == ""


def test_a_failure_has_its_cause(results: Path) -> None:
    leave(results / "anna/failures/track.json", json.dumps({"error": "no face\nin any frame"}))
    leave(results / "bert/failures/track.json", "{")
    found = stage(results, "anna", "track")
    assert (found.state, found.cause) == ("failed", "no face in any frame")
    assert stage(results, "bert", "track").cause == "damaged"


def test_a_process_of_this_machine_runs_or_has_stopped(results: Path) -> None:
    leave(results / "anna/checkpoints/0a/000000400.json", "{}")
    leave(results / "anna/checkpoints/0a/000000200.json", "{}")
    leave(
        results / "logs/anna/train-0123456789ab.log", "train:  40%|####  | 40/100 [01:20<02:00]\r"
    )
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, "anna"], stdin=subprocess.PIPE) as process:
        owner = f"process {process.pid} on {socket.gethostname()}"
        leave(results / "anna/locks/train.lock", owner)
        running = stage(results, "anna", "train")
        assert process.stdin is not None
        process.stdin.close()
    assert (running.state, running.images, running.of, running.left) == (
        "running",
        40,
        100,
        "02:00",
    )
    stopped = stage(results, "anna", "train")
    assert (stopped.state, stopped.images) == ("stopped", 400)


def test_slurm_knows_what_runs_elsewhere_and_what_waits(results: Path, tmp_path: Path) -> None:
    leave(tmp_path / "bin/squeue", QUEUE)
    os.chmod(tmp_path / "bin/squeue", 0o755)
    os.symlink("/bin/cat", tmp_path / "bin/cat")
    running = stage(results, "anna", "train")
    assert (running.state, running.job, running.node) == ("running", "10", "n2")
    queued = stage(results, "bert", "track")
    assert (queued.state, queued.job, queued.cause) == ("queued", "11", "Resources")
