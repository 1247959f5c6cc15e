"""The quick ones of the hard inputs (all of them: benchmarks/hard_inputs.py)."""

import json
from pathlib import Path

import pytest

from pipeline.ingest.__main__ import main
from tests.hard_cases import CASES, Case


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES if c.quick])
def test_ingest_ends_as_it_should(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    home, results = tmp_path / "home", tmp_path / "results"
    home.mkdir()
    capture = case.build(home)
    before = sorted(home.rglob("*"))
    arguments = ["--subject", "s", "--capture", str(capture), "--results", str(results)]
    code = main([*arguments, "--settings", json.dumps(case.settings)])
    errors = [k for k in capsys.readouterr().err.splitlines() if k.startswith("error: ")]
    if case.outcome == "error":
        assert code == 2
        assert len(errors) == 1
        assert case.message in errors[0]
        assert not (results / "s/ingest/frames.h5").exists()
    else:
        assert code == 0, errors
        quality = json.loads((results / "s/ingest/quality.json").read_text())
        assert quality["status"] == case.outcome, quality
        assert case.message in "; ".join(quality["messages"])
    assert sorted(home.rglob("*")) == before
    assert {path.name for path in tmp_path.iterdir()} == {"home", "results"}
