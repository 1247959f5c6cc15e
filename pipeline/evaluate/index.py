"""`results/index.html`: all subjects in one page that sorts and filters, without a request.

The page's data are JSON inside it; `web/index.js` makes the rows, with every text as text.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from avatar.base import files, html, made, names
from avatar.base.errors import UserError
from avatar.evaluate.protocols import PROTOCOLS
from pipeline.common.gate import STATUSES, Quality
from pipeline.evaluate.measures import MEASURES
from pipeline.evaluate.page import preset_text
from pipeline.evaluate.summaries import Failure, Results

NAME = "index.html"
PICTURE = "thumbnail.webp"  # of a subject
LIMIT = 5_000_000  # bytes; pictures are left out where they would exceed it
SIZE = (96, 96)  # width and height of a picture, pixels
_MOST_PICTURE = 6000  # bytes
_TEXTS, _NUMBERS = ("group", "preset", "date"), ("gaussians", "seconds")
_FIRST = "self_reenactment"  # the protocol that is shown at first


def index(results: Path, found: Results) -> str:
    """The page; the same files give the same bytes.

    Args:
        found: `read_results` of the same folder.
    """
    subjects = _subjects(results, found)
    text = _page(subjects, "")
    if len(text) > LIMIT:
        bare = [subject | {"picture": ""} for subject in subjects]
        text = _page(bare, ", too many to show pictures")
    return text


def _subjects(results: Path, found: Results) -> list[dict[str, Any]]:
    """What is known of every subject that was evaluated, has failed or was begun."""
    begun = {path.parts[-3] for path in results.glob(f"*/{made.FOLDER}/*.json")}
    rows = {row["subject"]: row for row in found.rows}
    failures = {failure.subject: failure for failure in found.failures}
    scores: dict[str, dict[str, list[float | None]]] = {name: {} for name in rows}
    for row in found.rows:
        if row["region"] == "full":
            scores[row["subject"]][row["protocol"]] = [
                None if row[name] is None else round(row[name], measure.digits + 1)
                for name, measure in MEASURES.items()
            ]
    return [
        _about(rows.get(name), failures.get(name))
        | _files(results / name)
        | {"subject": name, "scores": scores.get(name, {})}
        for name in sorted({*rows, *failures, *filter(names.is_name, begun)})
    ]


def _about(row: dict[str, Any] | None, failure: Failure | None) -> dict[str, Any]:
    """Settings and state, of any row of a subject and its last failure."""
    about: dict[str, Any] = dict.fromkeys(_TEXTS, "") | dict.fromkeys(_NUMBERS)
    state = "begun"
    if row:
        about = {key: row[key] for key in about}
        about["preset"] = preset_text(row)
        state = row["state"] or "evaluated"
    if failure:
        return about | {"state": "failed", "why": f"{failure.stage}: {failure.error}"}
    return about | {"state": state, "why": ""}


def _files(home: Path) -> dict[str, Any]:
    """Whether there is a report, its picture, and the quality of the stages."""
    return {
        "report": names.is_name(home.name) and (home / "report.html").is_file(),
        "picture": _picture(home / PICTURE),
        "quality": _quality(home),
    }


def _quality(home: Path) -> str:
    """The worst status of the stages, and which of them have it."""
    found: dict[str, list[str]] = {status: [] for status in STATUSES}
    for stage in made.STAGES:
        path = home / stage / "quality.json"
        try:
            found[Quality.load(path).status].append(stage)
        except UserError:  # most stages have none
            continue
    worst = next((status for status in reversed(STATUSES) if found[status]), "")
    return worst if worst in ("", "pass") else f"{worst}: {', '.join(found[worst])}"


def _picture(path: Path) -> str:
    """A small WebP file in base64; empty where there is none."""
    try:
        data = path.read_bytes() if path.stat().st_size <= _MOST_PICTURE else b""
    except OSError:
        return ""
    return base64.b64encode(data).decode("ascii") if data[8:12] == b"WEBP" else ""


def save_picture(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a subject's picture, resized so that a thousand go into one page."""
    with files.atomic(path) as temporary:
        picture = Image.fromarray(image).resize(SIZE, Image.Resampling.BOX)
        picture.save(temporary, "WEBP", quality=60)


def _page(subjects: list[dict[str, Any]], note: str) -> str:
    protocols = {protocol for subject in subjects for protocol in subject["scores"]}
    known = [protocol for protocol in (_FIRST, *PROTOCOLS) if protocol in protocols]
    data = {
        "metrics": [
            {"key": key, "name": m.title.split(" in ")[0], "title": m.title, "digits": m.digits}
            for key, m in MEASURES.items()
        ],
        "protocols": list(dict.fromkeys([*known, *sorted(protocols)])),
        "subjects": subjects,
        "note": note,
    }
    script = html.read("pipeline.evaluate", "web/index.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    values = {
        "script": script,
        # An end tag within the JSON would end it.
        "data": json.dumps(data, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c"),
    }
    body = html.fill(html.read("pipeline.evaluate", "web/index.html"), values)
    style = html.theme() + html.read("pipeline.evaluate", "web/index.css")
    allowed = f"img-src data:; script-src 'sha256-{digest}'"
    return html.document("Subjects – headsplat", style, body, allowed)
