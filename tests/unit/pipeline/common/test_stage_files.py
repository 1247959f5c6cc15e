import math
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from pipeline.common.stage_files import read_json, read_table


def test_a_table_has_texts_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("camera,more,psnr\n007,x,20.5\nNA,x,\n")
    table = read_table(path, ("camera",), ("psnr",), "do it again")
    assert list(table) == ["camera", "psnr"]
    assert table.camera.tolist() == ["007", "NA"]
    assert table.psnr[0] == 20.5
    assert math.isnan(table.psnr[1])


@pytest.mark.parametrize("text", ["", "camera\n007\n", "camera,psnr\n007,much\n", "camera,psnr\n"])
def test_a_damaged_table_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.csv .*: do it again"):
        read_table(path, ("camera",), ("psnr",), "do it again")


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_damaged_summary_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"summary\.json is damaged: do it again"):
        read_json(path, "do it again")
