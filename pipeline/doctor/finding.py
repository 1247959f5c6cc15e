"""The result of one check of the machine, and the table of all results."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        what: what was checked.
        status: `fail` where a run cannot succeed, `warn` where it may not.
        detail: what was found.
        remedy: what to do about it; empty where nothing has to be done.
    """

    what: str
    status: Status
    detail: str
    remedy: str = ""


def table(findings: Iterable[Finding]) -> str:
    """The findings as text, one line each and a second for the remedy."""
    rows = list(findings)
    width = max(len(row.what) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"{row.status:<4}  {row.what:<{width}}  {row.detail}")
        if row.remedy:
            lines.append(f"{'':<{width + 8}}-> {row.remedy}")
    return "\n".join(lines)
