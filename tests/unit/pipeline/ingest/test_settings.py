from pathlib import Path

import pytest

from pipeline.ingest.__main__ import main


@pytest.mark.parametrize("text", ['{"sise": 3}', '{"size": 0}', '{"size": "big"}', "[]"])
def test_bad_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    arguments = ["--subject", "s", "--capture", "x", "--results", str(tmp_path)]
    assert main([*arguments, "--settings", text]) == 2
    assert capsys.readouterr().err.startswith("error: settings: ")
