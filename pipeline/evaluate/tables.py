"""All subjects in one table: results/*/eval/summary.json -> results/tables/metrics.{csv,md}.

Reads what is there and never trains. `metrics.csv` has a row per subject and protocol on the
full frame, `metrics_regions.csv` one per region; `metrics.md` also names the subjects that
failed, and is printed.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from avatar.base import cli, files

log = logging.getLogger(__name__)

METRICS = {"psnr": "{:.2f}", "ssim": "{:.3f}", "flip": "{:.3f}"}
_ABOUT = ["subject", "group", "rig", "preset", "protocol"]
_COLUMNS = [*_ABOUT, "n", *METRICS]


def make_tables(results: Path) -> str:
    """Write the tables of every subject under `results`; returns the Markdown page."""
    table = read_summaries(results)
    full = table[table.region == "full"]
    page = markdown(full, read_failures(results))
    folder = results / "tables"
    for name, part in (
        ("metrics.csv", full[_COLUMNS]),
        ("metrics_regions.csv", table[[*_ABOUT, "region", *_COLUMNS[len(_ABOUT) :]]]),
    ):
        with files.atomic(folder / name) as temporary:
            part.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    files.write_text(folder / "metrics.md", page)
    return page


def read_summaries(results: Path) -> pd.DataFrame:
    """A row per subject, protocol and region; a summary that cannot be read is left out."""
    rows: list[dict[str, Any]] = []
    for path in sorted(results.glob("*/eval/summary.json")):
        try:
            rows += _rows(files.read_json(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s is damaged and left out: evaluate the subject again", path)
    return pd.DataFrame(rows, columns=[*_COLUMNS, "region"])


def _rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    about = {key: summary[key] for key in ("subject", "group", "rig", "preset")}
    return [
        about | {"protocol": protocol, "region": region} | scores
        for protocol, found in summary["protocols"].items()
        for region, scores in found["regions"].items()
    ]


def read_failures(results: Path) -> list[tuple[str, str, str]]:
    """Subject, stage and error line of every failure on record."""
    failures = []
    for path in sorted(results.glob("*/failures/*.json")):
        try:
            message = str(files.read_json(path)["error"])
        except (OSError, json.JSONDecodeError, KeyError, TypeError):
            message = f"{path} is damaged"
        failures.append((path.parts[-3], path.stem, message))
    return failures


def markdown(full: pd.DataFrame, failures: list[tuple[str, str, str]]) -> str:
    """The page: one table of metrics on the full frame, one of failures."""
    lines = ["# Metrics", ""]
    if full.empty:
        lines += ["No subject has been evaluated yet.", ""]
    else:
        lines += [
            "Means over frames, full frame, foreground over white; PSNR in dB (higher is better), "
            "SSIM (higher), FLIP (lower). `novel_view`: a held-out camera on training timesteps. "
            "`self_reenactment`: held-out timesteps, with the tracker's parameters.",
            "",
            *_table(_COLUMNS, [_cells(row) for row in full.to_dict("records")]),
            "",
        ]
    if failures:
        lines += ["## Failed", "", *_table(["subject", "stage", "error"], failures), ""]
    return "\n".join(lines)


def _cells(row: dict[Any, Any]) -> list[str]:
    return [
        METRICS[column].format(row[column]) if column in METRICS else str(row[column])
        for column in _COLUMNS
    ]


def _table(header: list[str], rows: Any) -> list[str]:
    escaped = [[str(cell).replace("|", "\\|") for cell in row] for row in [header, *rows]]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return [lines[0], "|" + " --- |" * len(header), *lines[1:]]


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    args = parser.parse_args(argv)
    return cli.run_command(lambda: print(make_tables(args.results), end=""))


if __name__ == "__main__":
    raise SystemExit(main())
