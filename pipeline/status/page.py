"""The status as lines for a terminal, as results/status.csv and as results/status.html."""

import csv
import html
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from itertools import groupby
from pathlib import Path

from avatar.base import files
from pipeline.common.text import shown
from pipeline.status.read import BUSY, DONE, FAILED, RUNNING, StageStatus

COLUMNS = [field.name for field in fields(StageStatus)]
_COLORS = {DONE: "#dfd", RUNNING: "#ddf", FAILED: "#fdd"}
_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.2em .6em;text-align:left;border-bottom:1px solid #ccc;vertical-align:top}"
)
_AGAIN = 20  # seconds after which a browser reads the page again


def write(results: Path, found: Sequence[StageStatus]) -> None:
    """Write `status.csv` and `status.html` into the results folder."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(stage) for stage in found)
    files.write_text(results / "status.csv", text.getvalue())
    files.write_text(results / "status.html", _page(found))


def lines(found: Sequence[StageStatus]) -> list[str]:
    """A line for each subject, about the first of its stages that is not done, and their sum."""
    current = [_current(stages) for stages in _by_subject(found)]
    width = max((len(stage.subject) for stage in current), default=0)
    told = [f"{stage.subject:<{width}}  {_sentence(stage)}" for stage in current]
    counts = Counter(stage.state for stage in current)
    listing = ", ".join(f"{count} {state}" for state, count in counts.items())
    return [*told, f"{len(current)} subjects: {listing or 'none'}"]


def _by_subject(found: Sequence[StageStatus]) -> Iterable[list[StageStatus]]:
    return (list(stages) for _, stages in groupby(found, lambda stage: stage.subject))


def _current(stages: Sequence[StageStatus]) -> StageStatus:
    """The stage at work, or that failed, or else the first that is not done."""
    for states in (BUSY, (FAILED,)):
        for stage in stages:
            if stage.state in states:
                return stage
    return next((stage for stage in stages if stage.state != DONE), stages[-1])


def _sentence(stage: StageStatus) -> str:
    if stage.state == DONE:
        return DONE
    parts = [f"{stage.state} {stage.stage}"]
    if stage.job:
        parts.append(f"job {stage.job}" + (f" on {stage.node}" if stage.node else ""))
    if stage.images is not None:
        parts.append(f"{stage.images}" + (f" of {stage.of}" if stage.of else " images"))
    if stage.left:
        parts.append(f"{stage.left} left")
    if stage.cause:
        parts.append(shown(stage.cause, 200))
    return ", ".join(parts)


def _page(found: Sequence[StageStatus]) -> str:
    busy = any(stage.state in BUSY for stage in found)
    again = f'<meta http-equiv="refresh" content="{_AGAIN}">' if busy else ""
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    rows = "\n".join(_row(stage) for stage in found)
    date = datetime.now().isoformat(" ", "seconds")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}<title>Status</title>'
        f"<style>{_STYLE}</style></head><body><h1>Status</h1>"
        f"<p>{html.escape(lines(found)[-1])}; {date}</p>"
        f"<table><tr>{head}</tr>\n{rows}\n</table></body></html>\n"
    )


def _row(stage: StageStatus) -> str:
    cells = []
    for name, value in asdict(stage).items():
        text = html.escape("" if value is None else str(value))
        if name == "log" and value:
            inside = Path(value).relative_to(Path(value).parts[0])
            text = f'<a href="{html.escape(str(inside))}">{text}</a>'
        cells.append(f"<td>{text}</td>")
    color = _COLORS.get(stage.state, "#fff")
    return f'<tr style="background:{color}">{"".join(cells)}</tr>'
