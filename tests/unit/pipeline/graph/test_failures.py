"""The last lines of a run."""

import json
import os
from pathlib import Path

import pytest

from pipeline.graph.failures import failure_lines

SILENT = "ended without an error line: killed, or out of memory; its log is"


def _record(results: Path, subject: str, stage: str, text: str, time: float = 2e9) -> None:
    path = results / subject / "failures" / f"{stage}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time, time))


@pytest.mark.fault("4.9")
def test_each_failed_job_is_named_killed_ones_too(tmp_path: Path) -> None:
    _record(tmp_path, "bert", "train", json.dumps({"error": "no\nmemory \x1b[31m"}))
    _record(tmp_path, "anna", "ingest", json.dumps({"error": "of yesterday"}), time=1e9)
    (tmp_path / "busy.log").write_text("12:00 INFO\nerror: track.lock is held by process 7\nend\n")
    (tmp_path / "killed.log").write_text("12:00 INFO\n")
    failed = [
        ("bert", "train", "unused.log"),
        ("carl", "track", str(tmp_path / "busy.log")),
        ("anna", "train", str(tmp_path / "killed.log")),
        ("anna", "matte", str(tmp_path / "none.log")),
    ]
    assert failure_lines(tmp_path, 1.5e9, failed) == [
        f"anna/matte: {SILENT} {tmp_path}/none.log",
        f"anna/train: {SILENT} {tmp_path}/killed.log",
        "bert/train: no memory \\x1b[31m",
        "carl/track: track.lock is held by process 7",
    ]


@pytest.mark.fault("L1")
@pytest.mark.parametrize("text", ["", "[1]", "{}", "[" * 100_000, '{"error": ' + "9" * 5000 + "}"])
def test_a_damaged_record_hides_no_other(tmp_path: Path, text: str) -> None:
    _record(tmp_path, "anna", "track", text)
    _record(tmp_path, "bert", "track", json.dumps({"error": "no face"}))
    failed = [("anna", "track", "anna.log"), ("bert", "track", "bert.log")]
    lines = failure_lines(tmp_path, 0, failed)
    assert lines[0] == "anna/track: " + SILENT + " anna.log"
    assert lines[1] == "bert/track: no face"


def test_a_record_of_a_job_that_did_not_fail_now_is_left_out(tmp_path: Path) -> None:
    _record(tmp_path, "anna", "track", json.dumps({"error": "of another run"}))
    assert failure_lines(tmp_path, 0, []) == []
