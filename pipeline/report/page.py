"""The report as one HTML file: no script, no request (Content-Security-Policy).

Sections and texts are data (`contents.yaml`); a section's `block` names one of `BLOCKS`.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.common import html
from pipeline.common.text import shown as harmless
from pipeline.evaluate.run import METRICS, summarise
from pipeline.report.charts import legend, line_chart
from pipeline.report.pictures import Shown, data_uri
from pipeline.report.record import Record

DIGITS = {"psnr": 2}  # behind the point; 4 of other metrics
_PACKAGE = "pipeline.report"
STATUS_WORDS = {"pass": "pass", "warn": "warning", "fail": "fail"}


@cache
def contents() -> dict[str, Any]:
    """Sections, captions, names of figures, and advice."""
    return yaml.safe_load(html.read(_PACKAGE, "contents.yaml"))


def page(record: Record, frames: list[Shown]) -> str:
    """The whole file; every text of the record is escaped."""
    sections = contents()["sections"]
    notice = contents()["states"].get(record.state, "")
    values = {
        "subject": text(record.subject),
        "style": html.theme() + html.read(_PACKAGE, "report.css"),
        "notice": f'<p class="notice">{notice}</p>' if notice else "",
        "links": "".join(
            f'<li><a href="#{part["block"]}">{part["title"]}</a></li>' for part in sections
        ),
        "sections": "\n".join(
            f'<section id="{part["block"]}"><h2>{part["title"]}</h2>'
            f'<p class="caption">{part["caption"]}</p>{BLOCKS[part["block"]](record, frames)}'
            "</section>"
            for part in sections
        ),
    }
    return html.fill(html.read(_PACKAGE, "report.html"), values)


def text(value: object) -> str:
    """Any value as HTML text on one line."""
    return escape(harmless(value))


def advice(message: str) -> str:
    """What to do about a stage's message; empty where nothing is known."""
    fitting = (entry["do"] for entry in contents()["advice"] if entry["about"] in message)
    return next(fitting, "")


def _scores(record: Record, _: list[Shown]) -> str:
    rows = [
        (
            protocol,
            region,
            scores["n"],
            *(f"{scores[name]:.{DIGITS.get(name, 4)}f}" for name in METRICS),
        )
        for protocol, found in summarise(record.metrics).items()
        for region, scores in found["regions"].items()
    ]
    names = [contents()["metrics"][name] for name in METRICS]
    return table(["protocol", "region", "n", *names], rows, numbers=2)


def _frames(record: Record, frames: list[Shown]) -> str:
    return "".join(_triple(frame) for frame in frames) or "<p>No frame is held out.</p>"


def _triple(frame: Shown) -> str:
    where = frame.where
    place = f"sequence {where.sequence}, timestep {where.timestep}, camera {where.camera}"
    far = "" if np.isnan(where.pose_distance) else f", {where.pose_distance:.1f}° from training"
    title = text(f"{frame.protocol}, {frame.rank}: {where.psnr:.1f} dB ({place}{far})")
    figures = "".join(
        f'<figure><img src="{data_uri(picture)}" alt="{name} of {title}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, picture in frame.pictures.items()
    )
    return f'<h3>{title}</h3><div class="frames">{figures}</div>'


def _over_time(record: Record, _: list[Shown]) -> str:
    full = record.metrics[record.metrics.region == "full"]
    parts = {str(name): part for name, part in full.groupby("protocol", sort=False)}
    charts = [legend(list(parts))]
    for metric, label in contents()["metrics"].items():
        lines = {name: _by_timestep(part, metric) for name, part in parts.items()}
        charts.append(_chart(label, line_chart(f"{label} by timestep", lines)))
    return "".join(charts)


def _by_timestep(part: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the cameras at every timestep, with a gap where none is measured."""
    steps = part.timestep.astype(int)
    means = part[metric].groupby(steps).mean()
    every = np.arange(steps.min(), steps.max() + 1)
    return every.astype(float), means.reindex(every).to_numpy(float)


def _training(record: Record, _: list[Shown]) -> str:
    images = record.log.images.to_numpy(float)
    return "".join(
        _chart(
            label,
            line_chart(f"{label} by images seen", {name: (images, record.log[name].to_numpy())}),
        )
        for name, label in contents()["curves"].items()
    )


def _chart(label: str, svg: str) -> str:
    """A heading and a chart that scrolls sideways where the page is narrow."""
    if not svg:
        return ""
    return (
        f'<h3>{label}</h3><div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"{svg}</div>"
    )


def _quality(record: Record, _: list[Shown]) -> str:
    parts = []
    for stage, quality in record.quality.items():
        status = f'<span class="status {quality.status}">{STATUS_WORDS[quality.status]}</span>'
        messages = "".join(
            f"<dt>{text(message)}</dt><dd>{advice(message)}</dd>" for message in quality.messages
        )
        parts.append(f"<h3>{stage}: {status}</h3>" + (f"<dl>{messages}</dl>" if messages else ""))
    return "".join(parts) or "<p>No stage left a quality.json.</p>"


def _stages(record: Record, _: list[Shown]) -> str:
    return table(["stage", "ended"], record.finished.items())


def _provenance(record: Record, _: list[Shown]) -> str:
    known = record.summary
    rows = [
        (label, known[name])
        for name, label in contents()["provenance"].items()
        if known.get(name) not in (None, "")
    ]
    clips = [
        [clip.get(name, "") for name in ("sequence", "camera", "source", "sha256")]
        for clip in record.clips
    ]
    about = table(["what", "value"], rows)
    return about + table(["sequence", "camera", "clip", "SHA-256"], clips) if clips else about


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: int | None = None) -> str:
    """An HTML table; columns from `numbers` on are aligned to the right."""
    first = len(head) if numbers is None else numbers

    def cell(column: int, value: object, tag: str) -> str:
        kind = "number" if column >= first else "long"
        return f'<{tag} class="{kind}">{text(value)}</{tag}>'

    top = "".join(cell(column, name, "th") for column, name in enumerate(head))
    body = "".join(
        f"<tr>{''.join(cell(column, value, 'td') for column, value in enumerate(row))}</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(", ".join(head))}">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


BLOCKS = {
    "scores": _scores,
    "frames": _frames,
    "over_time": _over_time,
    "training": _training,
    "quality": _quality,
    "stages": _stages,
    "provenance": _provenance,
}
