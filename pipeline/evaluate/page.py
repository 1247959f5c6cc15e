"""What the tables of all subjects show, as sections of text and cells, whatever the file format.

Rows are comparable that have the same protocol, group, background and region, and both a torso or
none; of cross-reenactment, the same driver and group. Among the comparable rows of two or more
subjects the best value of each metric is marked, and the second best.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from avatar.evaluate.protocols import CROSS_REENACTMENT, PROTOCOLS, Definition
from pipeline.evaluate.measures import (
    CROSS_MEASURES,
    LEVEL,
    MEASURES,
    METRICS,
    REGIONAL,
    Measure,
)
from pipeline.evaluate.summaries import ABOUT, CROSS_SCORES, NO_AVATAR, Failure

BEST, SECOND = "best", "second"
FIRST = [name for name in ABOUT if name != "overrides_hash"]
_UNDER = ("protocol", "background")
_BY_DRIVER = ("driver", "group")
_COMPARABLE = ("protocol", "group", "background", "torso", "region")
_SHOWN = MEASURES | CROSS_MEASURES
_HOW = {
    "subject": "subject", "preset": "preset", "torso": "torso", "images": "images",
    "seconds": "seconds", "gaussians": "Gaussians", "lpips_backbone": "LPIPS",
    "code_version": "code", "torch_version": "torch", "dataset_sha256": "dataset", "date": "date",
}  # fmt: skip
_LEGEND = (
    "Means over frames, {area}, the foreground in front of a background (grey level, 1 is white). "
    + "; ".join(
        f"`{name}`: {measure.title}, {'higher' if measure.higher else 'lower'} is better"
        for name, measure in MEASURES.items()
    )
    + ". A preset with `+` has overrides, named by their hash; `no torso`: trained without it.",
    "NA: LPIPS where no weights were given (`evaluate.lpips`; its network is in the table of "
    "settings), MS-SSIM of frames below 176 pixels, landmarks where the detector finds no face, "
    "flicker without consecutive frames, mask IoU of `head` with a torso; a metric that is not of "
    "that region.",
    "Bold: best of all subjects of the same protocol, group and background{also}, all with a torso "
    "or all without; underlined: second best. Only figures of the same person's frames compare "
    "methods: give such subjects a group of their own.",
)
_CROSS_LEGEND = (
    "Avatars in another person's motion, of which there is no true picture: measures of landmarks, "
    "not to be set beside those above. "
    + "; ".join(
        f"`{name}`: {measure.title}, {'higher' if measure.higher else 'lower'} is better"
        for name, measure in CROSS_MEASURES.items()
    )
    + ". `identity_driver`: the same distance from the driver's face; `lids`, `lids_driver`: the "
    "opening of the most closed eyes in % of the median. `n`: frames with a face in both videos.",
    "Bold: best of all subjects of the same driver and group; underlined: second best.",
)


class Cell(NamedTuple):
    """Plain text, and its mark: `BEST`, `SECOND` or none."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs and a table; columns of numbers are aligned to the right.

    Attributes:
        text: paragraphs, with code between backticks.
        header: empty where there is no table.
    """

    title: str
    text: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()


def metrics_page(
    rows: list[dict[str, Any]],
    failures: list[Failure],
    published: Sequence[dict[str, Any]] = (),
    cross: Sequence[dict[str, Any]] = (),
) -> list[Section]:
    """Metrics on the full frame, how each avatar was made, and what is not right.

    Args:
        cross: rows of cross-reenactment, which have a table of their own.
        published: `published.read_published`; of those, the rows of protocols in `rows` are shown.
    """
    rows = [row for row in rows if row["region"] == "full"]
    sections = [_metrics(rows, "full frame", [*FIRST, *_UNDER, "n", *METRICS])]
    if cross:
        columns = [*FIRST, "driver", "n", *CROSS_SCORES]
        sections.append(_table("Cross-reenactment", _CROSS_LEGEND, cross, columns, _BY_DRIVER))
    measured = {row["protocol"] for row in (*rows, *cross)}
    definitions: tuple[Definition, ...] = (*PROTOCOLS.values(), CROSS_REENACTMENT)
    if known := [p for p in definitions if p.name in measured]:
        text = "Only figures of the same protocol and background are comparable."
        header = ["protocol", "frames", "pixels", "parameters of the avatar"]
        texts = ((p.name, p.frames, p.pixels, p.parameters) for p in known)
        sections.append(_plain("Protocols", header, texts, text))
    if beside := [row for row in published if row["protocol"] in measured]:
        sections.append(_beside(rows, beside))
    if rows:
        sections.append(_spread(rows))
        made = dict.fromkeys(tuple(_cells(row, _HOW)) for row in rows)
        sections.append(Section("Settings", (), list(_HOW.values()), list(made)))
    states = ((row["subject"], row["state"]) for row in (*rows, *cross) if row["state"])
    if outdated := dict.fromkeys(states):
        explained = [(s, _explain(state)) for s, state in outdated]
        sections.append(_plain("Not of the present avatar", ["subject", "figures"], explained))
    if failures:
        errors = [(f.subject, f.stage, f.error) for f in failures]
        sections.append(_plain("Failed", ["subject", "stage", "error"], errors))
    return sections


def regions_page(rows: list[dict[str, Any]]) -> list[Section]:
    """Metrics of every region, those that regions have."""
    columns = [*FIRST, *_UNDER, "region", "n", *REGIONAL]
    return [_metrics(rows, "of a region", columns, " and region")]


def _metrics(
    rows: list[dict[str, Any]], area: str, columns: Sequence[str], also: str = ""
) -> Section:
    if not rows:
        return Section("Metrics", ["No subject has been evaluated yet."])
    legend = [text.format(area=area, also=also) for text in _LEGEND]
    return _table("Metrics", legend, rows, columns, _COMPARABLE)


def _table(
    title: str,
    legend: Sequence[str],
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    comparable: Sequence[str],
) -> Section:
    """Rows with marks, among those that are alike in the columns `comparable`."""
    measures = {name: _SHOWN[name] for name in columns if name in _SHOWN}
    marks = _marks(rows, measures, comparable)
    cells = [
        [Cell(_text(row, name), marks.get((k, name), "")) for name in columns]
        for k, row in enumerate(rows)
    ]
    return Section(title, legend, columns, cells)


def _beside(rows: list[dict[str, Any]], published: Sequence[dict[str, Any]]) -> Section:
    """Published figures, and the means of this run's subjects under the same protocols."""
    protocols = {row["protocol"] for row in published}
    parts = defaultdict(list)
    for row in rows:
        if row["protocol"] in protocols:
            method = f"headsplat, preset {_text(row, 'preset')}"
            parts[row["protocol"], row["group"], method, row["lpips_backbone"]].append(row)
    ours = [
        {"protocol": protocol, "dataset": group, "method": method, "subjects": len(part)}
        | {"lpips_backbone": backbone}
        | {name: _mean(part, name) for name in METRICS}
        | {"source": "this page"}
        for (protocol, group, method, backbone), part in parts.items()
    ]
    theirs = [row | {"subjects": None} for row in published]
    columns = ["protocol", "dataset", "method", "subjects", *METRICS, "lpips_backbone", "source"]
    together = sorted([*theirs, *ours], key=lambda row: (row["protocol"], row["dataset"]))
    text = (
        "Published figures as they were entered, and means over the subjects of a group, which "
        "stands as the dataset. Only figures of the same protocol and dataset are comparable."
    )
    cells = [_cells(row, columns) for row in together]
    return Section("Beside published figures", [text], columns, cells)


def _mean(rows: list[dict[str, Any]], metric: str) -> float | None:
    """None unless all rows have it."""
    values = [row[metric] for row in rows]
    return None if None in values else fmean(values)


def _spread(rows: list[dict[str, Any]]) -> Section:
    """Standard deviation, interval and number of frames of every metric."""
    text = (
        f"Standard deviation over frames, {LEVEL:.0%} bootstrap interval of the mean (blocks of "
        "consecutive frames), number of frames. Other frames of the same video, not other videos."
    )
    about = ("subject", "preset", "protocol")
    cells = [
        [*_cells(row, about), *(Cell(_spread_text(row, name)) for name in METRICS)] for row in rows
    ]
    return Section("Spread over frames", [text], [*about, *METRICS], cells)


def _spread_text(row: dict[str, Any], metric: str) -> str:
    if row[f"{metric}_std"] is None:
        return "NA"
    digits = MEASURES[metric].digits
    std, low, high = (f"{row[f'{metric}_{key}']:.{digits}f}" for key in ("std", "lo", "hi"))
    return f"{std}, {low} to {high}, {row[f'{metric}_n']:.0f}"


def _marks(
    rows: Sequence[dict[str, Any]], measures: Mapping[str, Measure], comparable: Sequence[str]
) -> dict[tuple[int, str], str]:
    """Marks by row and metric. Values that are shown alike are equal."""
    alike = defaultdict(list)
    for k, row in enumerate(rows):
        under = tuple(row[name] for name in comparable)
        for metric in measures:
            if row[metric] is not None:
                network = row["lpips_backbone"] if metric == "lpips" else None
                alike[metric, *under, network].append(k)
    marks = {}
    for (metric, *_), members in alike.items():
        digits, higher, _ = measures[metric]
        shown = {k: round(rows[k][metric], digits) for k in members}
        order = sorted(set(shown.values()), reverse=higher)
        if len(order) < 2:
            continue
        for k, value in shown.items():
            if value in order[:2]:
                marks[k, metric] = BEST if value == order[0] else SECOND
    return marks


def _explain(state: str) -> str:
    if state == NO_AVATAR:
        return "the avatar that was measured is no longer there: run the subject again"
    return "measured before its data, settings or avatar changed: run the subject again"


def _plain(title: str, header: Sequence[str], rows: Iterable[Iterable[str]], *text: str) -> Section:
    return Section(title, text, header, [[Cell(text) for text in row] for row in rows])


def _cells(row: dict[str, Any], columns: Iterable[str]) -> list[Cell]:
    return [Cell(_text(row, column)) for column in columns]


def preset_text(row: dict[str, Any]) -> str:
    """A preset's name, with the hash of its overrides if it has any; and whether no torso."""
    name = "+".join(str(row[key]) for key in ("preset", "overrides_hash") if row.get(key))
    return f"{name}, no torso" if row.get("torso") is False else name


def _text(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "preset":
        return preset_text(row)
    if value is None:
        return "NA"
    if column == "torso":
        return "yes" if value else "no"
    if column in _SHOWN:
        return f"{value:.{_SHOWN[column].digits}f}"
    if column in CROSS_SCORES:
        return f"{value:.1f}"
    return f"{value:g}" if isinstance(value, float) else str(value)
