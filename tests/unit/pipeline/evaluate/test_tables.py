from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avatar.base import files
from pipeline.evaluate.tables import main


def _summary(subject: str, psnr: float) -> dict[str, Any]:
    scores = {"n": 60, "psnr": psnr, "ssim": 0.9, "flip": 0.1}
    return {
        "subject": subject, "group": "g", "rig": "anny", "preset": "quick",
        "protocols": {
            "novel_view": {"regions": {"full": scores, "mask": scores | {"psnr": psnr - 5}}},
            "self_reenactment": {"regions": {"full": scores | {"n": 480}}},
        },
    }  # fmt: skip


def _run(results: Path) -> int:
    return main(["--results", str(results)])


def test_every_subject_has_a_row_per_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for subject, psnr in (("anna", 28.125), ("bert", 25.0)):
        files.write_json(tmp_path / subject / "eval/summary.json", _summary(subject, psnr))
    assert _run(tmp_path) == 0
    table = pd.read_csv(tmp_path / "tables/metrics.csv")
    assert list(table.columns) == [
        "subject", "group", "rig", "preset", "protocol", "n", "psnr", "ssim", "flip",
    ]  # fmt: skip
    assert table.subject.tolist() == ["anna", "anna", "bert", "bert"]
    assert table.protocol.tolist() == ["novel_view", "self_reenactment"] * 2
    assert table.psnr[0] == 28.125
    assert table.n.tolist() == [60, 480, 60, 480]
    regions = pd.read_csv(tmp_path / "tables/metrics_regions.csv")
    assert regions[regions.region == "mask"].psnr.tolist() == [23.125, 20]
    page = (tmp_path / "tables/metrics.md").read_text()
    assert "| anna | g | anny | quick | novel_view | 60 | 28.12 | 0.900 | 0.100 |" in page
    assert "Failed" not in page
    assert capsys.readouterr().out == page


def test_failures_are_named_with_their_reason(tmp_path: Path) -> None:
    files.write_json(tmp_path / "good/eval/summary.json", _summary("good", 28.0))
    record = {"stage": "ingest", "error": "bad.mp4 is not a video | at all"}
    files.write_json(tmp_path / "bad/failures/ingest.json", record)
    (tmp_path / "odd/eval").mkdir(parents=True)
    (tmp_path / "odd/eval/summary.json").write_text("{")
    assert _run(tmp_path) == 0
    page = (tmp_path / "tables/metrics.md").read_text()
    assert r"| bad | ingest | bad.mp4 is not a video \| at all |" in page
    assert set(pd.read_csv(tmp_path / "tables/metrics.csv").subject) == {"good"}


def test_an_empty_folder_makes_empty_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(tmp_path / "results") == 0
    assert "No subject has been evaluated yet" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "results/tables/metrics.csv").empty
