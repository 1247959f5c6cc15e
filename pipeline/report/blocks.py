"""What the sections of the report show, as HTML: a function for each, by the names in `BLOCKS`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jaxtyping import UInt8

from avatar.base import html
from pipeline.common.gate import Quality
from pipeline.common.text import shown as harmless
from pipeline.evaluate.measures import MEASURES, METRICS
from pipeline.evaluate.run import summarise
from pipeline.report.charts import legend, line_chart
from pipeline.report.pictures import Shown, address, data_uri
from pipeline.report.record import Record
from pipeline.report.sheets import Picture

PACKAGE = "pipeline.report"
STATUS_WORDS = {"pass": "pass", "warn": "warning", "fail": "fail"}
_THUMBNAIL = 85  # quality of a contact sheet's JPEG files, at most


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    Attributes:
        record: what the stages left.
        turntable: an MP4 file.
        poster: what is shown before the video is played.
        frames: the best, the median and the worst of each protocol.
        sheets: contact sheets by name, see `sheets.contact_sheets`.
    """

    record: Record
    turntable: bytes
    poster: UInt8[np.ndarray, "H W 3"]
    frames: list[Shown]
    sheets: dict[str, list[Picture]]


@dataclass(frozen=True)
class Detail:
    """How finely pictures are stored: pixels of the longer side at most, and JPEG's quality."""

    pixels: int
    quality: int


@cache
def contents() -> dict[str, Any]:
    """Sections, captions, names of figures, and advice."""
    return yaml.safe_load(html.read(PACKAGE, "contents.yaml"))


def text(value: object) -> str:
    """Any value as HTML text on one line."""
    return escape(harmless(value))


def advice(stage: str, message: str) -> str:
    """What to do about a stage's message: of the first entry that fits, or in general."""
    fitting = (entry["do"] for entry in contents()["advice"] if entry["about"] in message)
    return next(fitting, contents()["other_advice"][stage])


def _turntable(report: Report, detail: Detail) -> str:
    poster = data_uri(report.poster, detail.pixels, detail.quality)
    video = (
        f'<video controls loop muted playsinline poster="{poster}" '
        f'src="{address("video/mp4", report.turntable)}" '
        f'aria-label="{text(report.record.subject)}, seen from side to side"></video>'
    )
    return f'<div class="front">{video}{_facts(report.record)}</div>'


def _facts(record: Record) -> str:
    """The most important figures, and which stages have warnings."""
    facts = [
        (f"{protocol}, {contents()['metrics']['psnr']}", f"{scores['full']['psnr']:.2f}")
        for protocol, scores in _means(record).items()
    ]
    remarks = [
        f"{stage}: {STATUS_WORDS[quality.status]}"
        for stage, quality in record.quality.items()
        if quality.status != "pass"
    ]
    facts.append(("quality of the stages", ", ".join(remarks) or "pass"))
    made = ("preset", "images", "gaussians", "seconds")
    names = contents()["provenance"]
    facts += [(names[key], record.summary[key]) for key in made if key in record.summary]
    return table(["what", "value"], facts)


def _means(record: Record) -> dict[str, dict[str, dict[str, float]]]:
    """By protocol and region."""
    return {name: found["regions"] for name, found in summarise(record.metrics).items()}


def _scores(report: Report, _: Detail) -> str:
    names = [contents()["metrics"][name] for name in METRICS]
    told = report.record.summary.get("protocols", {})
    return "".join(
        f'<h3>{text(protocol)}</h3><p class="caption">{_words(told.get(protocol, {}))}</p>'
        f"{table(['region', 'n', *names], map(_row, regions.items()), 1)}"
        for protocol, regions in _means(report.record).items()
    )


def _words(protocol: dict[str, Any]) -> str:
    """What a summary tells of a protocol."""
    labels = contents()["protocol"]
    known = (text(f"{labels[key]}: {protocol[key]}") for key in labels if key in protocol)
    return ". ".join(known)


def _row(of_region: tuple[str, dict[str, float]]) -> tuple[object, ...]:
    region, scores = of_region
    figures = (
        "NA" if scores[name] is None else f"{scores[name]:.{MEASURES[name].digits}f}"
        for name in METRICS
    )
    return (region, scores["n"], *figures)


def _frames(report: Report, detail: Detail) -> str:
    triples = (_triple(frame, detail) for frame in report.frames)
    return "".join(triples) or "<p>No frame is held out.</p>"


def _triple(frame: Shown, detail: Detail) -> str:
    where = frame.where
    place = f"sequence {where.sequence}, timestep {where.timestep}, camera {where.camera}"
    far = "" if np.isnan(where.pose_distance) else f", {where.pose_distance:.1f}° from training"
    title = text(f"{frame.protocol}, {frame.rank}: {where.psnr:.1f} dB ({place}{far})")
    figures = "".join(
        _figure(picture, f"{name} of {title}", name, detail)
        for name, picture in frame.pictures.items()
    )
    return f'<h3>{title}</h3><div class="frames">{figures}</div>'


def _figure(
    image: UInt8[np.ndarray, "H W 3"], description: str, caption: str, detail: Detail
) -> str:
    """A picture with its caption; both texts are escaped already."""
    source = data_uri(image, detail.pixels, detail.quality)
    return (
        f'<figure><img src="{source}" alt="{description}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _over_time(report: Report, _: Detail) -> str:
    record = report.record
    full = record.metrics[record.metrics.region == "full"]
    parts = {str(name): part for name, part in full.groupby("protocol", sort=False)}
    charts = [legend(list(parts))]
    for metric, label in contents()["metrics"].items():
        lines = {name: _by_timestep(part, metric) for name, part in parts.items()}
        charts.append(_chart(label, line_chart(f"{label} by timestep", lines)))
    return "".join(charts)


def _by_timestep(part: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the cameras at every timestep, with a gap where none is measured.

    A metric that is measured on spread frames is a line from one to the next.
    """
    steps = part.timestep.astype(int)
    means = part[metric].groupby(steps).mean()
    every = np.arange(steps.min(), steps.max() + 1)
    if 0 < len(known := means.dropna()) < len(means):
        every = known.index.to_numpy()
    return every.astype(float), means.reindex(every).to_numpy(float)


def _training(report: Report, _: Detail) -> str:
    record = report.record
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


def _quality(report: Report, detail: Detail) -> str:
    parts = [
        f'<h3>{stage}: <span class="status {quality.status}">{STATUS_WORDS[quality.status]}</span>'
        f"</h3>{_messages(stage, quality)}"
        f"{_sheets(stage, report.sheets, detail)}{_measures(quality)}"
        for stage, quality in report.record.quality.items()
    ]
    return "".join(parts) or "<p>No stage left a quality.json.</p>"


def _messages(stage: str, quality: Quality) -> str:
    messages = "".join(
        f"<dt>{text(message)}</dt><dd>{advice(stage, message)}</dd>" for message in quality.messages
    )
    return f"<dl>{messages}</dl>" if messages else ""


def _sheets(stage: str, sheets: dict[str, list[Picture]], detail: Detail) -> str:
    """The contact sheets of a stage."""
    return "".join(
        _sheet(about["caption"], sheets[name], detail)
        for name, about in contents()["sheets"].items()
        if about["stage"] == stage and sheets.get(name)
    )


def _sheet(caption: str, pictures: list[Picture], detail: Detail) -> str:
    coarse = Detail(detail.pixels, min(detail.quality, _THUMBNAIL))
    figures = "".join(
        _figure(picture.image, text(f"{caption} {picture.caption}"), text(picture.caption), coarse)
        for picture in pictures
    )
    return f'<p class="caption">{caption}</p><div class="sheet">{figures}</div>'


def _measures(quality: Quality) -> str:
    """The numbers of a quality.json, folded away."""
    rows = [
        (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else value)
        for name, value in quality.metrics.items()
        if isinstance(value, int | float | str)
    ]
    if not rows:
        return ""
    return f"<details><summary>Measures</summary>{table(['measure', 'value'], rows)}</details>"


def _stages(report: Report, _: Detail) -> str:
    rows = [
        (
            stage,
            _date(used.get("date", "")),
            used.get("node", ""),
            _seconds(used.get("seconds")),
            used.get("peak_mib", ""),
        )
        for stage, used in report.record.stages.items()
    ]
    head = ["stage", "ended (UTC)", "machine", "wall time, s", "peak memory, MiB"]
    return table(head, rows, numbers=3)


def _date(iso: object) -> str:
    """Of 2026-11-29T09:17:41.339945+00:00 the day and the time to a second."""
    return str(iso)[:19].replace("T", " ")


def _seconds(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""


def _provenance(report: Report, _: Detail) -> str:
    record = report.record
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
    "turntable": _turntable,
    "scores": _scores,
    "frames": _frames,
    "over_time": _over_time,
    "training": _training,
    "quality": _quality,
    "stages": _stages,
    "provenance": _provenance,
}
