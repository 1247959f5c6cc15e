"""The status for a terminal, a program and a browser."""

import csv
from pathlib import Path

from pipeline.status.page import COLUMNS, lines, write
from pipeline.status.read import StageStatus

ANNA = [
    StageStatus("anna", "ingest", "done", seconds=3.0),
    StageStatus("anna", "train", "running", job="7", node="n2", images=40, of=100, left="02:00"),
]
BERT = [
    StageStatus("bert", "ingest", "done", log="results/logs/bert/ingest-0.log"),
    StageStatus("bert", "track", "failed", cause="<no> face"),
]
CARL = [StageStatus("carl", "ingest", "done"), StageStatus("carl", "train", "done")]


def test_a_line_for_each_subject() -> None:
    assert lines([*ANNA, *BERT, *CARL]) == [
        "anna  running train, job 7 on n2, 40 of 100, 02:00 left",
        "bert  failed track, <no> face",
        "carl  done",
        "3 subjects: 1 running, 1 failed, 1 done",
    ]
    assert lines([]) == ["0 subjects: none"]


def test_the_files(tmp_path: Path) -> None:
    write(tmp_path, [*ANNA, *BERT])
    with open(tmp_path / "status.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row["state"] for row in rows] == ["done", "running", "done", "failed"]
    page = (tmp_path / "status.html").read_text()
    assert "&lt;no&gt; face" in page
    assert '<a href="logs/bert/ingest-0.log">' in page
    assert 'http-equiv="refresh"' in page
    write(tmp_path, BERT)
    assert "refresh" not in (tmp_path / "status.html").read_text(), "nothing is at work"
