"""Published figures of the user: read, refused in one line, shown beside the same protocol only."""

from pathlib import Path

import pytest

from avatar.base import files
from avatar.base.errors import UserError
from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.published import read_published
from pipeline.evaluate.tables import main

HEADER = "method,protocol,dataset,psnr,ssim,source"
ROW = "Method A,novel_view,D,31.5,,a paper"


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "published.csv"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def test_metrics_are_numbers_or_absent(tmp_path: Path) -> None:
    assert read_published(_file(tmp_path, HEADER, ROW)) == [
        {
            "method": "Method A", "protocol": "novel_view", "dataset": "D", "source": "a paper",
            **dict.fromkeys(METRICS), "psnr": 31.5, "lpips_backbone": None,
        }
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"absent.csv is missing"):
        read_published(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "column method, protocol, dataset, source is missing"),
        ([HEADER.replace("source", "psnr2")], "column source is missing"),
        (["method,protocol,dataset,source"], "column of a metric is missing"),
        ([HEADER + ",speed"], "column 'speed' is unknown"),
        ([HEADER + ",lpips", ROW + ",0.1"], "line 2: lpips_backbone is ''"),
        ([HEADER + ",lpips,lpips_backbone", ROW + ",,vgg19"], "line 2: lpips_backbone is 'vgg19'"),
        ([HEADER + ",psnr"], "column 'psnr' is unknown or there twice"),
        ([HEADER, ROW, ROW.replace("novel_view", "face")], "line 3: protocol 'face' is unknown"),
        ([HEADER, ROW.replace("31.5", "high")], "line 2: psnr 'high' is no number"),
        ([HEADER, ROW.replace("31.5", "nan")], "line 2: psnr 'nan' is no number"),
        ([HEADER, ROW + ",x"], "line 2 has 7 cells, its header 6"),
        ([HEADER, '"a"b,c'], "line 2 is not CSV"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, lines: list[str], told: str) -> None:
    path = _file(tmp_path, *lines)
    with pytest.raises(UserError, match=told.replace("(", r"\(")) as caught:
        read_published(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_rows_of_the_same_protocol_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for subject, psnr in (("anna", 28.0), ("bert", 30.0)):
        scores = {"n": 60, "psnr": psnr, "ssim": 0.9, "flip": 0.1}
        summary = {
            "subject": subject, "group": "D", "rig": "anny", "preset": "quick",
            "protocols": {"novel_view": {"regions": {"full": scores}}},
        }  # fmt: skip
        files.write_json(tmp_path / "results" / subject / "eval/summary.json", summary)
    other = ROW.replace("novel_view", "self_reenactment").replace("Method A", "Method B")
    path = _file(tmp_path, HEADER, ROW, other)
    arguments = ["--results", str(tmp_path / "results"), "--published", str(path)]
    assert main(arguments) == 0
    page = capsys.readouterr().out
    assert f"| novel_view | D | Method A | NA | 31.50 |{' NA |' * 8} a paper |" in page
    ours = "| novel_view | D | headsplat, preset quick | 2 | 29.00 | 0.900 | NA | NA | 0.100 |"
    assert ours in page
    assert "Method B" not in page


def test_a_mistake_leaves_the_former_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, "method,psnr")
    assert main(["--results", str(tmp_path / "results"), "--published", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: column protocol, dataset, source")
    assert not (tmp_path / "results").exists()
