"""What the sections show of a record in which every name is markup."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avatar.evaluate.protocols import PROTOCOLS
from pipeline.common.gate import Quality
from pipeline.evaluate.measures import METRICS
from pipeline.report.blocks import BLOCKS, Detail, Report, advice, contents
from pipeline.report.pictures import Shown
from pipeline.report.record import Record
from pipeline.report.sheets import Picture

ROOT = Path(__file__).resolve().parents[4]
NAME = '<img src=x onerror="alert(1)">'
NOISE = np.random.default_rng(0).integers(0, 255, (96, 64, 3), dtype=np.uint8)
FINE = Detail(480, 95)


def report(**changes: Any) -> Report:
    """Frames of the timesteps 4 (twice), 5 and 7."""
    rows = [
        {"protocol": NAME, "region": "full", "sequence": NAME, "timestep": step, "camera": NAME,
         "pose_distance": 2.0, **dict.fromkeys(METRICS, np.nan), "psnr": psnr, "ssim": 0.9,
         "flip": 0.1 if step != "5" else np.nan}
        for step, psnr in (("4", 20.0), ("4", 30.0), ("5", 26.0), ("7", 28.0))
    ]  # fmt: skip
    log = {"images": [200.0, 400.0], "loss": [0.2, 0.1], "psnr": [20.0, 25.0]}
    known: dict[str, Any] = {
        "subject": NAME,
        "summary": {
            "rig": NAME, "preset": NAME, "images": 400, "overrides_hash": "",
            "protocols": {NAME: {"frames": NAME, "background": 0.5}},
        },
        "state": "",
        "metrics": pd.DataFrame(rows),
        "log": pd.DataFrame(log | {"gaussians": [100.0, 100.0]}),
        "quality": {"track": Quality({NAME: 1.0}, [NAME], "warn")},
        "stages": {
            "train": {"date": NAME, "node": "gpu1", "seconds": 12.34, "peak_mib": 567},
            "pack": {},
        },
        "clips": [{"sequence": NAME, "camera": NAME, "source": NAME, "sha256": NAME}],
    }  # fmt: skip
    record = Record(**(known | changes))
    frame = Shown(NAME, "best", record.metrics.iloc[0], {"truth": NOISE, "render": NOISE})
    sheets = {"track": [Picture(NAME, NOISE)], "matte": []}
    return Report(record, b"video", NOISE, [frame], sheets)


def show(block: str, **changes: Any) -> str:
    return BLOCKS[block](report(**changes), FINE)


def test_the_words_of_every_protocol_are_shown_to_their_end() -> None:
    for protocol in PROTOCOLS.values():
        summary = {"protocols": {NAME: protocol.describe(0.25)}}
        html = show("scores", summary=summary)
        assert protocol.pixels.replace("'", "&#x27;") in html
        assert f"Background (grey level): {protocol.grey(0.25)}</p>" in html


def test_means_are_those_of_the_table_and_cameras_are_averaged() -> None:
    html = show("scores")
    assert '<td class="number">4</td><td class="number">26.00</td>' in html
    assert "Background (grey level): 0.5" in html
    charts = show("over_time")
    line = re.search(r'aria-label="PSNR \(dB\) by timestep">.*?class="line l0" d="([^"]*)"', charts)
    assert line
    heights = [float(point) for point in re.findall(r"[ML]\S+? ([\d.]+)", line[1])]
    assert heights[0] > heights[1] > heights[2], "down the page: 25 (a mean), 26 and 28 dB"
    assert line[1].count("M") == 2, "timestep 6 is a gap"
    spread = re.search(r'aria-label="FLIP by timestep">.*?class="line l0" d="([^"]*)"', charts)
    assert spread
    assert spread[1].count("M") == 1, "measured on some frames only: one line"
    assert '<td class="number">NA</td>' in html


def test_the_avatar_is_a_video_beside_its_main_figures() -> None:
    html = show("turntable")
    assert 'src="data:video/mp4;base64,dmlkZW8="' in html
    assert 'poster="data:image/jpeg;base64,' in html
    assert '<td class="long">26.00</td>' in html
    assert '<td class="long">track: warning</td>' in html


def test_a_sheet_is_shown_with_its_stage() -> None:
    html = show("quality")
    assert html.count("<img ") == 1
    assert contents()["sheets"]["track"]["caption"] in html
    assert contents()["sheets"]["matte"]["caption"] not in html
    other = show("quality", quality={"matte": Quality()})
    assert "<img " not in other


def test_time_and_memory_of_a_stage_are_shown_where_they_are_known() -> None:
    html = show("stages")
    cells = re.findall("<tr>(.*?)</tr>", html)
    assert re.findall(">([^<]*)</td>", cells[1])[2:] == ["gpu1", "12.3", "567"]
    assert re.findall(">([^<]*)</td>", cells[2]) == ["pack", "", "", "", ""]


def test_every_metric_has_a_name() -> None:
    assert set(contents()["metrics"]) == {*METRICS, "pose_distance"}


def test_a_warning_has_a_remedy() -> None:
    message = "camera 0, main 355 to 365: something covers 17% of the landmarks"
    assert "off the face" in advice("track", message)
    html = show("quality", quality={"track": Quality({}, [message], "warn")})
    assert f"<dt>{message}</dt><dd>{advice('track', message)}</dd>" in html


def test_a_message_of_a_later_version_has_general_advice() -> None:
    for stage in ("ingest", "matte", "track", "refine"):
        assert advice(stage, "a message that no stage writes") == contents()["other_advice"][stage]


def _source() -> str:
    """The stages' code, its strings over several lines joined."""
    texts = (path.read_text("utf-8") for path in (ROOT / "pipeline").rglob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))


def test_advice_is_on_messages_that_stages_write() -> None:
    source = _source()
    assert [e["about"] for e in contents()["advice"] if e["about"] not in source] == []


def test_every_message_in_the_code_has_advice_of_its_own() -> None:
    calls = r"(?:\.warn|\.fail|remarks\.append|messages\.append)\(\s*f?\"((?:[^\"\\]|\\.)*)\""
    messages = re.findall(calls, _source())
    assert len(messages) > 30
    known = [entry["about"] for entry in contents()["advice"]]
    assert [text for text in messages if not any(about in text for about in known)] == []
