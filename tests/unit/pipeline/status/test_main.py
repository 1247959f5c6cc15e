"""headsplat status."""

from pathlib import Path

import pytest

from avatar.base import made
from pipeline.status.__main__ import main


def test_it_is_printed_and_written_and_follows_only_while_there_is_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made.write(tmp_path / "results/anna", "ingest", "0123456789ab")
    assert main(["--follow"]) == 0
    assert capsys.readouterr().out == "anna  waiting matte\n1 subjects: 1 waiting\n"
    assert (tmp_path / "results/status.csv").exists()
    assert (tmp_path / "results/status.html").exists()
