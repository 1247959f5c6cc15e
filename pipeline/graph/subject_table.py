"""config/subjects.tsv: an optional row for a subject, tab-separated."""

from dataclasses import dataclass
from pathlib import Path

from avatar.base import names
from avatar.base.errors import UserError
from pipeline.common.text import read_text, shown

COLUMNS = ("subject", "capture", "group", "rig", "preset")


@dataclass(frozen=True)
class Row:
    """What the table says of a subject; an empty text leaves the default."""

    subject: str
    capture: str = ""
    group: str = ""
    rig: str = ""
    preset: str = ""


def read_subject_table(path: Path) -> dict[str, Row]:
    """Rows by subject; empty where there is no such file. Columns may come in any order.

    A cell lies within its line, in quotes or not. Empty lines are skipped, and empty cells at the
    end of a row.

    Raises:
        UserError: other columns, cells beyond them, a quote left open, a subject without a name
            or given twice, or an encoding that is not read.
    """
    if not path.exists() and not path.is_symlink():
        return {}
    filled = [
        (f"{path}: line {number}", line)
        for number, line in enumerate(read_text(path).split("\n"), 1)
        if line.strip()
    ]
    if not filled:
        return {}
    header = _cells(*filled[0])
    _check_header(path, header)
    rows: dict[str, Row] = {}
    for where, line in filled[1:]:
        row = _row(where, header, _cells(where, line))
        if row.subject in rows:
            raise UserError(f"{path}: {row.subject} is listed twice: keep one row")
        rows[row.subject] = row
    return rows


def _cells(where: str, line: str) -> list[str]:
    """The cells of a line, without quotes around them and without empty ones at the end."""
    cells = []
    for cell in line.rstrip().split("\t"):
        text = cell.strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"')
        elif text.startswith('"') or text.endswith('"'):
            raise UserError(f"{where}: the quote in {shown(text)} is left open: remove it")
        cells.append(text)
    return cells


def _check_header(path: Path, header: list[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: the column {shown(repeated[0])} is there twice: keep one")
    if "subject" not in header or not set(header) <= set(COLUMNS):
        one = shown("\t".join(header).replace("\t", ", "))
        spaces = ": put tabs between the columns" if len(header) == 1 else ""
        raise UserError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {one}{spaces}")


def _row(where: str, header: list[str], cells: list[str]) -> Row:
    if len(cells) > len(header):
        raise UserError(
            f"{where} has {len(cells)} cells, expected at most {len(header)}: remove a tab"
        )
    row = Row(**({"subject": ""} | dict(zip(header, cells, strict=False))))
    try:
        names.check_name(row.subject, "subject")
    except UserError as problem:
        raise UserError(f"{where}: {problem}") from None
    return row
