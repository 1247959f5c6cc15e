"""Published figures that the user keeps in a CSV, to be shown beside figures of the same protocol.

Columns: `method`, `protocol`, `dataset`, `source`, and one or more metrics; an empty cell is a
figure that was not published. A figure of LPIPS needs the column `lpips_backbone`.
"""

import csv
import io
import math
from pathlib import Path
from typing import Any, get_args

from avatar.base.errors import UserError
from avatar.evaluate.protocols import PROTOCOLS
from avatar.losses.settings import Backbone
from pipeline.common.text import read_text, shown
from pipeline.evaluate.measures import METRICS

PLACE = Path("config/published.csv")
_TEXTS = ("method", "protocol", "dataset", "source")
_BACKBONES = get_args(Backbone)


def read_published(path: Path) -> list[dict[str, Any]]:
    """Rows of the file, metrics as numbers or None.

    Raises:
        UserError: the file or a column is missing, a column is unknown, or a cell has no known
            protocol or no number.
    """
    lines = csv.reader(io.StringIO(read_text(path)), strict=True)
    try:
        header = next(lines, [])
        _check(path, header)
        return [_row(path, lines.line_num, header, cells) for cells in lines if cells]
    except csv.Error as problem:
        raise UserError(f"{path}: line {lines.line_num} is not CSV ({problem}): edit it") from None


def _check(path: Path, header: list[str]) -> None:
    missing = [name for name in _TEXTS if name not in header]
    if missing or not set(METRICS) & set(header):
        raise UserError(
            f"{path}: column {', '.join(missing) or 'of a metric'} is missing: expected "
            f"{', '.join(_TEXTS)} and one or more of {', '.join(METRICS)}"
        )
    known = (*_TEXTS, *METRICS, "lpips_backbone")
    odd = [name for name in header if name not in known or header.count(name) > 1]
    if odd:
        raise UserError(
            f"{path}: column {shown(odd[0])!r} is unknown or there twice: expected "
            f"{', '.join(_TEXTS)} and one or more of {', '.join(METRICS)}"
        )


def _row(path: Path, line: int, header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise UserError(
            f"{path}: line {line} has {len(cells)} cells, its header {len(header)}: edit it"
        )
    row = dict(zip(header, map(str.strip, cells), strict=True))
    if row["protocol"] not in PROTOCOLS:
        raise UserError(
            f"{path}: line {line}: protocol {shown(row['protocol'])!r} is unknown: expected one "
            f"of {', '.join(PROTOCOLS)}"
        )
    values = {name: _number(path, line, name, row.get(name, "")) for name in METRICS}
    backbone = row.get("lpips_backbone", "")
    if backbone not in _BACKBONES and (backbone or values["lpips"] is not None):
        raise UserError(
            f"{path}: line {line}: lpips_backbone is {shown(backbone)!r}: LPIPS is comparable with "
            f"the same network only: expected one of {', '.join(_BACKBONES)}"
        )
    texts = {name: shown(row[name]) for name in _TEXTS}
    return texts | values | {"lpips_backbone": backbone or None}


def _number(path: Path, line: int, name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{path}: line {line}: {name} {shown(text)!r} is no number: expected one, or nothing"
        )
    return value
