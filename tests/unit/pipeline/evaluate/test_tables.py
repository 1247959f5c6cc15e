import gc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avatar.base import files
from pipeline.evaluate.summaries import SPREADS
from pipeline.evaluate.tables import main


def _summary(subject: str, psnr: float) -> dict[str, Any]:
    scores = {"n": 60, "psnr": psnr, "ssim": 0.9, "flip": 0.1, "flip_n": 50, "lpips": None}
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
        "subject", "group", "rig", "preset", "protocol", "n", "psnr", "ssim", "ms_ssim", "lpips",
        "flip", "landmarks", "mask_iou", "flicker", *SPREADS, "overrides_hash", "torso", "images",
        "seconds", "gaussians", "background", "lpips_backbone", "code_version", "torch_version",
        "dataset_sha256", "date", "state",
    ]  # fmt: skip
    assert table.subject.tolist() == ["anna", "anna", "bert", "bert"]
    assert table.protocol.tolist() == ["novel_view", "self_reenactment"] * 2
    assert table.psnr[0] == 28.125
    assert table.n.tolist() == [60, 480, 60, 480]
    assert table.flip_n.tolist() == [50] * 4
    assert table.lpips.isna().all()
    assert "flip_n,flip_std" in (tmp_path / "tables/metrics.csv").read_text()
    regions = pd.read_csv(tmp_path / "tables/metrics_regions.csv")
    assert regions[regions.region == "mask"].psnr.tolist() == [23.125, 20]
    page = (tmp_path / "tables/metrics.md").read_text()
    assert (
        "| anna | g | anny | quick | novel_view | NA | 60 | **28.12** | 0.900 | NA | NA | 0.100 |"
        in page
    )
    assert "Failed" not in page
    assert capsys.readouterr().out == page


def test_refined_frames_have_rows_of_their_own(tmp_path: Path) -> None:
    summary = _summary("anna", 28.0)
    scores = {"n": 480, "psnr": 31.5, "ssim": 0.95, "flip": 0.05}
    summary["protocols"]["self_reenactment_refined"] = {"regions": {"full": scores}}
    files.write_json(tmp_path / "anna/eval/summary.json", summary)
    assert _run(tmp_path) == 0
    table = pd.read_csv(tmp_path / "tables/metrics.csv").set_index("protocol")
    assert table.psnr.to_dict() == {
        "novel_view": 28.0, "self_reenactment": 28.0, "self_reenactment_refined": 31.5
    }  # fmt: skip
    page = (tmp_path / "tables/metrics.md").read_text()
    assert "| self_reenactment_refined | NA | 480 | 31.50 |" in page
    assert "| self_reenactment_refined | held-out timesteps, all cameras | all pixels |" in page


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


def test_tables_made_again_have_the_same_bytes(tmp_path: Path) -> None:
    for subject, psnr in (("bert", 25.0), ("anna", 28.125)):
        files.write_json(tmp_path / subject / "eval/summary.json", _summary(subject, psnr))
    files.write_json(tmp_path / "bad/failures/track.json", {"error": "no face"})
    assert _run(tmp_path) == 0
    folder = tmp_path / "tables"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == {
        f"{name}.{suffix}"
        for name in ("metrics", "metrics_regions")
        for suffix in ("csv", "md", "tex", "html")
    } | {"cross_reenactment.csv"}
    assert _run(tmp_path) == 0
    assert gc.isenabled()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    for suffix in ("md", "tex", "html"):
        assert b"no face" in first[f"metrics.{suffix}"]
        assert b"mask" in first[f"metrics_regions.{suffix}"]


def test_an_empty_folder_makes_empty_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(tmp_path / "results") == 0
    assert "No subject has been evaluated yet" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "results/tables/metrics.csv").empty


@pytest.mark.fault("4.6")
def test_how_an_avatar_was_made_stands_beside_its_figures(tmp_path: Path) -> None:
    about = {
        "preset": "paper", "overrides_hash": "1a2b3c4d", "images": 20000, "seconds": 812.4,
        "gaussians": 51_000, "background": 0.0, "lpips_backbone": "vgg",
        "code_version": "0.1.0+abc", "date": "2026-11-28",
        "torch_version": "2.13.0", "dataset_sha256": "0123456789abcdef" * 4,
    }  # fmt: skip
    summary = _summary("anna", 28.0) | about
    summary["protocols"]["self_reenactment"]["background"] = 0.5
    files.write_json(tmp_path / "anna/eval/summary.json", summary)
    files.write_json(tmp_path / "bert/eval/summary.json", _summary("bert", 25.0))
    assert _run(tmp_path) == 0
    page = (tmp_path / "tables/metrics.md").read_text()
    assert "| anna | g | anny | paper+1a2b3c4d | novel_view | 0 | 60 | 28.00 |" in page
    assert "| paper+1a2b3c4d | self_reenactment | 0.5 | 480 |" in page
    made = "| NA | 20000 | 812.4 | 51000 | vgg | 0.1.0+abc | 2.13.0 | 0123456789ab | 2026-11-28 |"
    assert f"| anna | paper+1a2b3c4d {made}" in page
    assert f"| bert | quick {'| NA ' * 9}|" in page
    assert "over white" not in page
    table = pd.read_csv(tmp_path / "tables/metrics.csv").set_index("subject")
    assert table.images.dropna().tolist() == [20000, 20000]
    assert table.loc["anna"].dataset_sha256.tolist() == ["0123456789ab"] * 2
    assert table.loc["bert"].images.isna().all()


@pytest.mark.fault("4.2")
def test_figures_of_an_avatar_that_is_gone_are_marked(tmp_path: Path) -> None:
    files.write_json(tmp_path / "anna/eval/summary.json", _summary("anna", 28.0))
    assert _run(tmp_path) == 0
    page = (tmp_path / "tables/metrics.md").read_text()
    assert "| anna | the avatar that was measured is no longer there" in page
    assert set(pd.read_csv(tmp_path / "tables/metrics.csv").state) == {"no avatar"}


@pytest.mark.fault("L6")
def test_text_of_others_stays_text(tmp_path: Path) -> None:
    hostile = "a|b `c` <img src=x onerror=y>\n# head \x1b[31mred [l](http://x)"
    files.write_json(tmp_path / "bad/failures/ingest.json", {"error": hostile})
    summary = _summary("anna", 28.0) | {"group": "<b>\n|x"}
    files.write_json(tmp_path / "anna/eval/summary.json", summary)
    assert _run(tmp_path) == 0
    page = (tmp_path / "tables/metrics.md").read_text()
    assert (
        r"| bad | ingest | a\|b \`c\` &lt;img src=x onerror=y&gt; # head \\x1b\[31mred "
        r"\[l\](http://x) |"
    ) in page
    assert r"| anna | &lt;b&gt; \|x | anny |" in page
    assert "\x1b" not in page
    assert "<" not in page


@pytest.mark.fault("L1")
def test_a_damaged_summary_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    files.write_json(tmp_path / "good/eval/summary.json", _summary("good", 28.0))
    (tmp_path / "odd/eval").mkdir(parents=True)
    (tmp_path / "odd/eval/summary.json").write_text("[" * 100_000)
    assert _run(tmp_path) == 0
    assert "| odd | evaluate |" in (tmp_path / "tables/metrics.md").read_text()
    assert set(pd.read_csv(tmp_path / "tables/metrics.csv").subject) == {"good"}
