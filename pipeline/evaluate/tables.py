"""All subjects in one table: results/*/eval/summary.json -> results/tables/metrics.{csv,md}.

Reads what is there and never trains. `metrics.csv` has a row per subject and protocol on the
full frame, `metrics_regions.csv` one per region; `metrics.md` also names the subjects that
failed and those whose avatar is no longer the one that was measured, and is printed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from avatar.base import cli, files
from pipeline.evaluate.summaries import (
    ABOUT,
    COUNTS,
    MADE,
    METRICS,
    NO_AVATAR,
    Failure,
    read_results,
)

_FORMATS = {"psnr": "{:.2f}", "ssim": "{:.3f}", "flip": "{:.3f}"}
_FIRST = [name for name in ABOUT if name != "overrides_hash"]
_COLUMNS = [*_FIRST, "protocol", "n", *METRICS, "overrides_hash", *MADE, "state"]
_SHOWN = [*_FIRST, "protocol", "n", *METRICS]
_HOW = {
    "subject": "subject", "preset": "preset", "images": "images", "seconds": "seconds",
    "gaussians": "Gaussians", "background": "background", "code_version": "code",
    "torch_version": "torch", "dataset_sha256": "dataset", "date": "date",
}  # fmt: skip
_DIGITS = 12  # of a dataset's hash
_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "\\|`*[]~$"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def make_tables(results: Path) -> str:
    """Write the tables of every subject under `results`; returns the Markdown page."""
    found = read_results(results)
    for row in found.rows:
        if row["dataset_sha256"] is not None:
            row["dataset_sha256"] = str(row["dataset_sha256"])[:_DIGITS]
    page = markdown([row for row in found.rows if row["region"] == "full"], found.failures)
    table = pd.DataFrame(found.rows, columns=[*_COLUMNS, "region"])
    table = table.astype(dict.fromkeys(COUNTS, "Int64"))
    full = table[table.region == "full"]
    regions = table[[*_COLUMNS[:5], "region", *_COLUMNS[5:]]]
    folder = results / "tables"
    for name, part in (("metrics.csv", full[_COLUMNS]), ("metrics_regions.csv", regions)):
        with files.atomic(folder / name) as temporary:
            part.to_csv(
                temporary, index=False, float_format="%.6g", lineterminator="\n", na_rep="NA"
            )
    files.write_text(folder / "metrics.md", page)
    return page


def markdown(rows: list[dict[str, Any]], failures: list[Failure]) -> str:
    """The page: metrics on the full frame, how each avatar was made, what is not right."""
    lines = ["# Metrics", ""]
    if not rows:
        lines += ["No subject has been evaluated yet.", ""]
    else:
        lines += [
            "Means over frames, full frame, the foreground in front of the background of the "
            "second table (grey level, 1 is white); PSNR in dB (higher is better), SSIM (higher), "
            "FLIP (lower). `novel_view`: a held-out camera on training timesteps. "
            "`self_reenactment`: held-out timesteps, with the parameters that the avatar was made "
            "with. `self_reenactment_refined`: the same frames, with parameters refined on them "
            "through the finished avatar. A preset with `+` has overrides, named by their hash.",
            "",
            *_table(_SHOWN, (_cells(row, _SHOWN) for row in rows)),
            "",
            *_table(_HOW.values(), dict.fromkeys(tuple(_cells(row, _HOW)) for row in rows)),
            "",
        ]
    if outdated := dict.fromkeys((row["subject"], row["state"]) for row in rows if row["state"]):
        lines += ["## Not of the present avatar", ""]
        lines += _table(["subject", "figures"], ((s, _explain(state)) for s, state in outdated))
        lines += [""]
    if failures:
        cells = ((f.subject, f.stage, f.error) for f in failures)
        lines += ["## Failed", "", *_table(["subject", "stage", "error"], cells), ""]
    return "\n".join(lines)


def _explain(state: str) -> str:
    if state == NO_AVATAR:
        return "the avatar that was measured is no longer there: run the subject again"
    return "measured before its data, settings or avatar changed: run the subject again"


def _cells(row: dict[str, Any], columns: Iterable[str]) -> list[str]:
    return [_cell(row, column) for column in columns]


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "preset" and row["overrides_hash"]:
        return f"{value}+{row['overrides_hash']}"
    if value is None:
        return "NA"
    if column in _FORMATS:
        return _FORMATS[column].format(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table; what would be markup in a cell is escaped."""
    head = list(header)
    escaped = [[str(cell).translate(_SPECIAL) for cell in row] for row in [head, *rows]]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return [lines[0], "|" + " --- |" * len(head), *lines[1:]]


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("tables", __doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    args = parser.parse_args(argv)
    return cli.run_command(args, lambda: print(make_tables(args.results), end=""))


if __name__ == "__main__":
    raise SystemExit(main())
