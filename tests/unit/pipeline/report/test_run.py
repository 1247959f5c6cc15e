"""The report of a subject that was trained for a moment."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from avatar.base import made
from avatar.base.errors import UserError
from avatar.train.__main__ import main as train
from pipeline.evaluate.__main__ import main as evaluate
from pipeline.evaluate.index import SIZE as PICTURE_SIZE
from pipeline.report.__main__ import main
from pipeline.report.page import DETAILS, page
from pipeline.report.run import LIMIT, fitting
from tests.rigs import toy_rig
from tests.scenes import SIZE, pass_on, write_scene
from tests.unit.pipeline.report.test_blocks import report


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the subject `anna`, evaluated."""
    results = tmp_path_factory.mktemp("report") / "results"
    rig, path = toy_rig(), results / "rigs/toy.npz"
    path.parent.mkdir(parents=True)
    rig.save(path)
    write_scene(results / "anna/dataset.h5", rig)
    pass_on(results / "anna", path)
    arguments = ["--subject", "anna", "--results", str(results), "--rig", str(path)]
    quick = '{"preset": "quick", "overrides": {"images": 24}}'
    assert train([*arguments, "--settings", quick]) == 0
    assert evaluate([*arguments, "--set", "refined=false"]) == 0
    return results


@pytest.fixture
def results(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "results"))


def _images(html: str) -> dict[str, np.ndarray]:
    """Pixels 0..1 by their text."""
    found = re.findall(r'<img src="data:image/jpeg;base64,([^"]*)" alt="([^"]*)">', html)
    return {
        alt: np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) / 255 for data, alt in found
    }


def test_pictures_are_those_that_were_measured(results: Path) -> None:
    assert main(["anna", "--results", str(results)]) == 0
    images = _images((results / "anna/report.html").read_text(encoding="utf-8"))
    images = {
        alt: image
        for alt, image in images.items()
        if "self_reenactment" in alt or "novel_view" in alt
    }
    assert len(images) == 2 * 3 * 3  # protocols, ranks, pictures
    table = pd.read_csv(results / "anna/eval/metrics.csv")
    full = table[(table.region == "full") & (table.protocol == "self_reenactment")]
    for rank, psnr in (("best", full.psnr.max()), ("worst", full.psnr.min())):
        start = f"self_reenactment, {rank}: {psnr:.1f} dB"
        pictures = {alt.split(" of ")[0]: v for alt, v in images.items() if start in alt}
        assert set(pictures) == {"truth", "render", "error"}
        assert pictures["truth"].shape == (SIZE, SIZE, 3)
        error = np.square(pictures["truth"] - pictures["render"]).mean()
        assert -10 * np.log10(error) == pytest.approx(psnr, abs=0.3)  # both are JPEG


def test_the_page_has_video_and_sheets_and_the_index_a_picture(results: Path) -> None:
    assert main(["anna", "--results", str(results)]) == 0
    home = results / "anna"
    html = (home / "report.html").read_text(encoding="utf-8")
    assert len(html) < LIMIT
    assert "data:video/mp4;base64," in html
    assert Image.open(home / "thumbnail.webp").size == PICTURE_SIZE
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []
    assert made.stamps(home, "report")


def test_a_page_that_is_too_large_gets_coarser_pictures_or_one_line() -> None:
    sizes = [len(page(report(), detail).encode()) for detail in DETAILS]
    assert fitting(report(), Path("report.html"), sizes[1]) == page(report(), DETAILS[1])
    with pytest.raises(UserError, match=r"report\.html would have 0\.\d MB .* 1 clips and 1 mess"):
        fitting(report(), Path("report.html"), sizes[-1] - 1)


def test_without_an_evaluation_or_an_avatar_one_line_says_so(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, message in (
        ("eval", "eval/summary.json does not exist: evaluate the subject first"),
        ("avatar", "train the subject first"),
    ):
        shutil.rmtree(results / "anna" / folder)
        capsys.readouterr()
        assert main(["anna", "--results", str(results)]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
        assert len(lines) == 1
        assert message in lines[0]
        assert not (results / "anna/report.html").exists()


def test_a_table_of_another_dataset_is_one_line_and_the_report_stays(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = results / "anna"
    (home / "report.html").write_text("former")
    table = pd.read_csv(home / "eval/metrics.csv", dtype=str)
    table.assign(timestep="99").to_csv(home / "eval/metrics.csv", index=False)
    assert main(["anna", "--results", str(results)]) == 2
    assert "at timestep 99, which eval/metrics.csv names" in capsys.readouterr().err
    assert (home / "report.html").read_text() == "former"
