"""The page of all subjects: what it shows of each, and that texts of others stay texts."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from avatar.base import files, made
from benchmarks.tables import write_crowd
from pipeline.common.gate import Quality
from pipeline.evaluate import index as module
from pipeline.evaluate.index import LIMIT, PICTURE, index
from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.summaries import read_results

SCORES = {"n": 60, "psnr": 28.0, "ssim": 0.9, "flip": 0.1}


def _page(results: Path) -> str:
    return index(results, read_results(results))


def _data(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def _evaluated(results: Path, subject: str, **about: Any) -> Path:
    regions = {"regions": {"full": SCORES, "mask": SCORES | {"psnr": 20.0}}}
    summary = {
        "subject": subject, "group": "g", "rig": "anny", "preset": "quick", "gaussians": 100,
        "protocols": {"novel_view": regions, "self_reenactment": regions},
    }  # fmt: skip
    files.write_json(results / subject / "eval/summary.json", summary | about)
    return results / subject


def test_every_subject_is_there_with_its_state(tmp_path: Path) -> None:
    home = _evaluated(tmp_path, "anna", overrides_hash="1a2b")
    (home / "report.html").touch()
    Image.new("RGB", (96, 96)).save(home / PICTURE)
    Quality().save(home / "ingest/quality.json")
    Quality(messages=["x"], status="warn").save(home / "track/quality.json")
    (home / "matte").mkdir()
    (home / "matte/quality.json").write_text("{")
    files.write_json(tmp_path / "bad/failures/track.json", {"error": "no face"})
    made.write(tmp_path / "new", "ingest", "0123456789ab")
    (tmp_path / "rigs").mkdir()

    data = _data(_page(tmp_path))
    anna, bad, new = data["subjects"]
    assert data["protocols"] == ["self_reenactment", "novel_view"]
    assert [metric["key"] for metric in data["metrics"]] == list(METRICS)
    assert (anna["subject"], anna["preset"], anna["state"]) == ("anna", "quick+1a2b", "no avatar")
    assert (anna["gaussians"], anna["quality"], anna["report"]) == (100, "warn: track", True)
    full = [SCORES.get(name) for name in METRICS]
    assert anna["scores"] == {"novel_view": full, "self_reenactment": full}
    assert base64.b64decode(anna["picture"]) == (home / PICTURE).read_bytes()
    assert (bad["subject"], bad["state"], bad["why"]) == ("bad", "failed", "track: no face")
    assert (bad["scores"], bad["report"], bad["picture"], bad["preset"]) == ({}, False, "", "")
    assert (new["subject"], new["state"], new["why"]) == ("new", "begun", "")


def test_texts_of_others_end_no_script_and_the_page_asks_for_nothing(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=y> {{script}}"
    files.write_json(tmp_path / "bad/failures/ingest.json", {"error": hostile})
    (_evaluated(tmp_path, "anna") / PICTURE).write_bytes(b'"><script>')
    html = _page(tmp_path)
    assert html.count("</script>") == 2
    assert _data(html)["subjects"][1]["why"] == f"ingest: {hostile}"
    assert _data(html)["subjects"][0]["picture"] == ""
    assert "default-src 'none'" in html
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert [f"script-src 'sha256-{digest}'" in html for _ in scripts] == [True]
    assert re.findall(r'(?:src|href)="(?!data:|#|tables/)[^"]*"', html) == []


def test_a_crowd_fits_and_has_the_same_bytes_again(tmp_path: Path) -> None:
    write_crowd(tmp_path, 40)
    page = _page(tmp_path)
    subjects = _data(page)["subjects"]
    assert [subject["state"] for subject in subjects].count("failed") == 2
    assert sum(len(subject["picture"]) > 500 for subject in subjects) == 38
    assert len(page) < LIMIT * 40 / 1000
    assert _page(tmp_path) == page


def test_pictures_give_way_to_the_limit(tmp_path: Path, monkeypatch: Any) -> None:
    home = _evaluated(tmp_path, "anna")
    Image.new("RGB", (96, 96)).save(home / PICTURE)
    whole = _page(tmp_path)
    monkeypatch.setattr(module, "LIMIT", len(whole) - 1)
    data = _data(_page(tmp_path))
    assert data["subjects"][0]["picture"] == ""
    assert "too many" in data["note"]
