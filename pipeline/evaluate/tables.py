"""All subjects in one table: results/*/eval/summary.json -> results/tables/metrics.{csv,md,...}

Reads what is there and never trains. `metrics.csv` has a row per subject and protocol on the
full frame, `metrics_regions.csv` one per region, `cross_reenactment.csv` one per subject and driver
(`headsplat drive --measure`). The first two are also written as pages: Markdown, LaTeX and HTML.
The page of `metrics` also shows the third, names the subjects that failed and those whose avatar is
no longer the one that was measured, and is printed. Published figures of the user's CSV
(`config/published.csv`) are shown beside those of the same protocol. `results/index.html` shows
all subjects, sorts and filters.
"""

import gc
from pathlib import Path

import pandas as pd

from avatar.base import cli, files
from pipeline.evaluate import formats, index
from pipeline.evaluate.measures import METRICS
from pipeline.evaluate.page import FIRST, metrics_page, regions_page
from pipeline.evaluate.published import PLACE, read_published
from pipeline.evaluate.summaries import COUNTS, CROSS_SCORES, MADE, SPREADS, read_results

_MADE = ["overrides_hash", *MADE, "state"]
_FULL = [*FIRST, "protocol", "n", *METRICS, *SPREADS, *_MADE]
_REGIONS = [*FIRST, "protocol", "region", "n", *METRICS, *_MADE]
_CROSS = [*FIRST, "protocol", "driver", "n", *CROSS_SCORES, *_MADE]
_FORMATS = {"md": formats.markdown, "tex": formats.latex, "html": formats.html}
_DIGITS = 12  # of a dataset's hash


def make_tables(results: Path, published: Path | None = None) -> str:
    """Write the tables of every subject under `results`; returns the Markdown page.

    Args:
        published: a CSV of published figures; None: `config/published.csv`, if it is there.
    Raises:
        UserError: that file has another form than `read_published` expects; nothing is written.
    """
    if published is None and PLACE.exists():
        published = PLACE
    others = read_published(published) if published else []
    found = read_results(results)
    for row in (*found.rows, *found.cross):
        if row["dataset_sha256"] is not None:
            row["dataset_sha256"] = str(row["dataset_sha256"])[:_DIGITS]
    table = pd.DataFrame(found.rows, columns=[*_FULL, "region"])
    counts = [*COUNTS, *(name for name in SPREADS if name.endswith("_n"))]
    table = table.astype(dict.fromkeys(counts, "Int64"))
    cross = pd.DataFrame(found.cross, columns=_CROSS).astype(dict.fromkeys(COUNTS, "Int64"))
    folder = results / "tables"
    _write_csv(folder / "metrics.csv", table.loc[table.region == "full", _FULL])
    _write_csv(folder / "metrics_regions.csv", table[_REGIONS])
    _write_csv(folder / "cross_reenactment.csv", cross)
    pages = {
        "metrics": metrics_page(found.rows, found.failures, others, found.cross),
        "metrics_regions": regions_page(found.rows),
    }
    for name, sections in pages.items():
        for suffix, written in _FORMATS.items():
            files.write_text(folder / f"{name}.{suffix}", written(sections))
    files.write_text(results / index.NAME, index.index(results, found))
    return formats.markdown(pages["metrics"])


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with files.atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n", na_rep="NA")


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("tables", __doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    parser.add_argument(
        "--published", type=Path, metavar="FILE", help=f"CSV of published figures, default {PLACE}"
    )
    args = parser.parse_args(argv)
    gc.disable()  # a million small tuples and no cycles: a quarter less time
    try:
        return cli.run_command(
            args, lambda: print(make_tables(args.results, args.published), end="")
        )
    finally:
        gc.enable()


if __name__ == "__main__":
    raise SystemExit(main())
