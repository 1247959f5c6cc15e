"""Two runs against each other: what is paired, what is significant, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from avatar.base import files
from pipeline.evaluate.compare import FRAME, compare, main, p_value, read_run
from pipeline.evaluate.measures import METRICS

UNDER = {"frames": "held out", "pixels": "all", "parameters": "tracked", "background": 1.0}


def _run(home: Path, psnr: np.ndarray, flip: np.ndarray, **about: Any) -> Path:
    """A run of one protocol: frames of a camera, on which PSNR and FLIP were measured."""
    frames = [
        dict(zip(FRAME, ("head", region, "main", step, "0"), strict=True))
        | dict.fromkeys(METRICS, np.nan)
        | {"psnr": psnr[step] - (region == "mask"), "flip": flip[step]}
        for step in range(len(psnr))
        for region in ("full", "mask")
    ]
    files.write_text(home / "eval/metrics.csv", pd.DataFrame(frames).to_csv(index=False))
    summary = {"subject": home.name, "preset": "quick", "protocols": {"head": UNDER}}
    files.write_json(home / "eval/summary.json", summary | about)
    return home


def _noise(seed: int, count: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """B is 0.3 dB better, with less noise than persons differ; FLIP is measured on 20 frames."""
    psnr, flip = 25 + 4 * _noise(0), 0.1 + 0.01 * _noise(1)
    flip[20:] = np.nan
    a = _run(tmp_path / "a", psnr, flip)
    return a, _run(tmp_path / "b", psnr + 0.3 + 0.2 * _noise(2), flip + 1e-5 * _noise(3))


def test_pairs_find_what_means_do_not(runs: tuple[Path, Path]) -> None:
    a, b = map(read_run, runs)
    table = compare(a, b).set_index(["region", "metric"])
    psnr, flip = table.loc[("full", "psnr")], table.loc[("full", "flip")]
    assert (psnr.n, flip.n, psnr.better, flip.better) == (60, 20, "B", "")
    assert psnr.difference == pytest.approx(psnr.b - psnr.a)
    assert psnr.lo < 0.3 < psnr.hi
    assert psnr.p < 0.01 < flip.p
    full = [run.frames[run.frames.region == "full"].psnr for run in (a, b)]
    assert stats.ttest_ind(*full).pvalue > 0.3, "not by means of both runs"
    assert table.loc[("mask", "psnr")].difference == pytest.approx(psnr.difference)
    assert {metric for _, metric in table.index} == {"psnr", "flip"}


def test_a_lower_flip_is_better(tmp_path: Path) -> None:
    a = _run(tmp_path / "a", _noise(0), 0.2 + 0.001 * _noise(1))
    b = _run(tmp_path / "b", _noise(0), 0.1 + 0.001 * _noise(2))
    table = compare(read_run(a), read_run(b)).set_index(["region", "metric"])
    assert table.loc[("full", "flip")].better == "B"
    assert table.loc[("full", "psnr")].better == "", "equal values"


@pytest.mark.parametrize("mean", [0.0, 0.25, 0.4])
def test_p_of_independent_differences_is_that_of_a_t_test(mean: float) -> None:
    values = _noise(7, 100)
    values += mean - values.mean()
    assert p_value(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.04)


def test_the_page_is_printed_and_the_table_written(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(path) for path in runs]) == 0
    page = capsys.readouterr().out
    assert "| head | psnr | 60 | " in page
    assert "| mask |" not in page
    path = runs[0].parent / "tables/compare_a_b.csv"
    table = pd.read_csv(path, keep_default_na=False)
    assert set(table.region) == {"full", "mask"}
    first = path.read_bytes()
    assert main([str(path) for path in runs]) == 0
    assert path.read_bytes() == first


def _summary(home: Path, **changed: Any) -> None:
    path = home / "eval/summary.json"
    files.write_json(path, files.read_json(path) | changed)


def test_what_cannot_be_compared_is_one_line(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs

    def refused() -> str:
        assert main([str(a), str(b)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert not (a.parent / "tables").exists()
        return line

    _summary(b, protocols={"head": UNDER | {"background": 0.0}})
    assert "protocol head: its definitions differ: evaluate both" in refused()
    _summary(b, protocols={"head": UNDER, "neck_line": UNDER})
    assert f"protocol neck_line: {a} lacks it" in refused()
    _summary(b, protocols={"head": UNDER}, lpips_backbone="vgg")
    assert "LPIPS is of None and of vgg" in refused()
    _summary(b, protocols=[])
    assert "summary.json is damaged: evaluate the subject again" in refused()
    _run(b, _noise(0, 61), _noise(1, 61))
    assert "1 frames are in one only, the first at {'protocol': 'head'" in refused()
    (b / "eval/metrics.csv").write_text("protocol,region,psnr\nhead,full,20\n")
    assert "metrics.csv is damaged: evaluate the subject again" in refused()
    (b / "eval/summary.json").unlink()
    assert "summary.json does not exist: give the folder of an evaluated subject" in refused()
