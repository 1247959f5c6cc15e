import pytest

from pipeline.report.__main__ import main


def test_a_subject_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "error: the following arguments are required: subject" in capsys.readouterr().err
