import re
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.common.gate import Quality
from pipeline.evaluate.run import METRICS
from pipeline.report.page import BLOCKS, advice, contents, page
from pipeline.report.pictures import Shown
from pipeline.report.record import Record

ROOT = Path(__file__).resolve().parents[4]
NAME = '<img src=x onerror="alert(1)">'


def record(**changes: Any) -> Record:
    """Frames of the timesteps 4 (twice), 5 and 7; every name is markup."""
    rows = [
        {"protocol": NAME, "region": "full", "sequence": NAME, "timestep": step, "camera": NAME,
         "pose_distance": 2.0, "psnr": psnr, "ssim": 0.9, "flip": 0.1}
        for step, psnr in (("4", 20.0), ("4", 30.0), ("5", 26.0), ("7", 28.0))
    ]  # fmt: skip
    log = {"images": [200.0, 400.0], "loss": [0.2, 0.1], "psnr": [20.0, 25.0]}
    known: dict[str, Any] = {
        "subject": NAME,
        "summary": {"rig": NAME, "images": 400, "overrides_hash": ""},
        "state": "",
        "metrics": pd.DataFrame(rows),
        "log": pd.DataFrame(log | {"gaussians": [100.0, 100.0]}),
        "quality": {"track": Quality({}, [NAME], "warn")},
        "finished": {"train": NAME},
        "clips": [{"sequence": NAME, "camera": NAME, "source": NAME, "sha256": NAME}],
    }
    return Record(**(known | changes))


def test_names_are_text() -> None:
    found = record()
    frame = Shown(NAME, "best", found.metrics.iloc[0], {"truth": b"1", "render": b"2"})
    html = page(found, [frame])
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") > 8
    assert html.count("<img ") == 2
    assert "{{" not in html


def test_the_page_forbids_requests_and_has_no_script() -> None:
    html = page(record(), [])
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert "<script" not in html
    assert re.findall(r' (?:src|href)="(?!#|data:)[^"]*"', html) == []


def test_every_section_is_there_and_linked() -> None:
    html = page(record(), [])
    named = [part["block"] for part in contents()["sections"]]
    assert sorted(named) == sorted(BLOCKS)
    assert re.findall(r'<section id="(\w+)"', html) == named
    assert re.findall(r'<li><a href="#(\w+)">', html) == named


def test_means_are_those_of_the_table_and_cameras_are_averaged() -> None:
    html = page(record(), [])
    assert '<td class="number">4</td><td class="number">26.00</td>' in html
    line = re.search(r'aria-label="PSNR \(dB\) by timestep">.*?class="line l0" d="([^"]*)"', html)
    assert line
    heights = [float(point) for point in re.findall(r"[ML]\S+? ([\d.]+)", line[1])]
    assert heights[0] > heights[1] > heights[2], "down the page: 25 (a mean), 26 and 28 dB"
    assert line[1].count("M") == 2, "timestep 6 is a gap"


def test_an_outdated_avatar_is_named_first() -> None:
    assert 'class="notice"' not in page(record(), [])
    html = page(record(state="outdated"), [])
    assert html.index('class="notice"') < html.index("<section")


def test_every_metric_has_a_name() -> None:
    assert set(contents()["metrics"]) == {*METRICS, "pose_distance"}


def test_a_warning_has_a_remedy() -> None:
    assert advice("a message that no stage writes") == ""
    message = "camera 0, main 355 to 365: something covers 17% of the landmarks"
    assert "off the face" in advice(message)
    html = page(record(quality={"track": Quality({}, [message], "warn")}), [])
    assert f"<dt>{message}</dt><dd>{advice(message)}</dd>" in html


def test_advice_is_on_messages_that_stages_write() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "pipeline").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)  # strings over several lines
    assert [e["about"] for e in contents()["advice"] if e["about"] not in joined] == []
