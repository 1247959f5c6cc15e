"""Two runs against each other: headsplat compare results/anna results/anna_paper

Both are evaluated subjects whose frames and protocols are the same: runs of one capture with
different presets, settings or versions. Of every protocol, region and metric the frames are
compared in pairs; the difference is B - A. Interval and p come from a bootstrap that draws blocks
of consecutive frames. What is of the full frame is printed; all of it is also written to
results/tables/compare_<A>_<B>.csv, where results is the folder of A.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from avatar.base import cli, files
from avatar.base.errors import UserError
from pipeline.common.stage_files import read_json, read_table
from pipeline.common.text import shown
from pipeline.evaluate import formats
from pipeline.evaluate.measures import DRAWS, LEVEL, MEASURES, METRICS, drawn_means, spread
from pipeline.evaluate.page import Cell, Section, preset_text

FRAME = ("protocol", "region", "sequence", "timestep", "camera")
COLUMNS = ("protocol", "region", "metric", "n", "a", "b", "difference", "lo", "hi", "p", "better")
_UNDER = ("frames", "pixels", "parameters", "background")  # of a protocol, in a summary
_WRITTEN = ["a", "b", "difference", "lo", "hi"]  # with the digits of the metric


class Run(NamedTuple):
    """An evaluated subject: its folder, `eval/summary.json` and `eval/metrics.csv`."""

    home: Path
    summary: dict[str, Any]
    frames: pd.DataFrame


def read_run(home: Path) -> Run:
    """Read what evaluate left.

    Raises:
        UserError: the subject is not evaluated, or a file is damaged or of another version.
    """
    again = "evaluate the subject again"
    summary = read_json(home / "eval/summary.json", "give the folder of an evaluated subject")
    frames = read_table(home / "eval/metrics.csv", FRAME, METRICS, again)
    protocols = summary.get("protocols")
    if not isinstance(protocols, dict) or not all(isinstance(p, dict) for p in protocols.values()):
        raise UserError(f"{home / 'eval/summary.json'} is damaged: {again}")
    if frames.duplicated(list(FRAME)).any():
        raise UserError(f"{home / 'eval/metrics.csv'} has a frame twice: {again}")
    return Run(home, summary, frames)


def check_comparable(a: Run, b: Run) -> None:
    """Refuse runs whose figures are not of the same frames under the same protocols.

    Raises:
        UserError: the first protocol, or the number of frames, that differs.
    """
    under = [
        {name: [p.get(key) for key in _UNDER] for name, p in run.summary["protocols"].items()}
        for run in (a, b)
    ]
    for name in sorted({*under[0], *under[1]}):
        if under[0].get(name) != under[1].get(name):
            missing = [run.home for run, has in zip((a, b), under, strict=True) if name not in has]
            what = f"{missing[0]} lacks it" if missing else "its definitions differ"
            raise UserError(
                f"{a.home} and {b.home}: protocol {name}: {what}: evaluate both with the same "
                "version and settings"
            )
    if a.summary.get("lpips_backbone") != b.summary.get("lpips_backbone"):
        raise UserError(
            f"{a.home} and {b.home}: LPIPS is of {a.summary.get('lpips_backbone')} and of "
            f"{b.summary.get('lpips_backbone')}: evaluate both with the same evaluate.lpips"
        )
    full = [set(_index(run)[_index(run).get_level_values("region") == "full"]) for run in (a, b)]
    if odd := full[0] ^ full[1]:
        place = dict(zip(FRAME, min(odd), strict=True))
        raise UserError(
            f"{a.home} and {b.home}: {len(odd)} frames are in one only, the first at {place}: "
            "compare runs of the same capture and split"
        )


def _index(run: Run) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(run.frames[list(FRAME)])


def compare(a: Run, b: Run) -> pd.DataFrame:
    """A row for each protocol, region and metric that both have: `COLUMNS`.

    `a` and `b` are means over the `n` frames of which both have the metric; `better` is empty where
    the interval of the difference contains 0.
    """
    check_comparable(a, b)
    both = a.frames.merge(b.frames, on=list(FRAME), suffixes=("_a", "_b"))  # in the order of A
    rows = [
        {"protocol": protocol, "region": region, "metric": metric} | found
        for (protocol, region), part in both.groupby(["protocol", "region"], sort=False)
        for metric in METRICS
        if (found := _paired(part, metric))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _paired(part: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Of one metric; empty where no frame has it."""
    pairs = part[[f"{metric}_a", f"{metric}_b"]].dropna()
    if pairs.empty:
        return {}
    one, other = pairs.to_numpy(float).T
    change = spread(other - one)
    better = ""
    if change["lo"] > 0 or change["hi"] < 0:
        better = "B" if (change["mean"] > 0) == MEASURES[metric].higher else "A"
    return {
        "n": len(pairs), "a": one.mean(), "b": other.mean(), "difference": change["mean"],
        "lo": change["lo"], "hi": change["hi"], "p": p_value(other - one), "better": better,
    }  # fmt: skip


def p_value(differences: Float[np.ndarray, "N"]) -> float:
    """Two-sided: how often a mean of draws lies as far from their centre as that lies from 0."""
    mean = differences.mean()
    centred = np.abs(drawn_means(differences - mean))
    return float((1 + (centred >= abs(mean)).sum()) / (DRAWS + 1))


def page(a: Run, b: Run, table: pd.DataFrame) -> Section:
    """The full frame of the comparison."""
    preset_a, preset_b = (shown(preset_text(run.summary)) for run in (a, b))
    text = [
        f"A: `{a.home}`, preset `{preset_a}`. B: `{b.home}`, preset `{preset_b}`. All pixels; "
        "means of the frames that both have, the difference B - A with its "
        f"{LEVEL:.0%} interval, and p (two-sided; at least {1 / (DRAWS + 1):.3f}). `better` is "
        "named where the interval does not contain 0. Of many rows some are so by chance."
    ]
    if a.summary.get("dataset_sha256") != b.summary.get("dataset_sha256"):
        text.append("The datasets differ: the truth's alpha and regions may, too.")
    header = [name for name in COLUMNS if name != "region"]
    full = table[table.region == "full"]
    rows = [[Cell(_text(row, name)) for name in header] for _, row in full.iterrows()]
    return Section("Paired comparison", text, header, rows)


def _text(row: pd.Series, column: str) -> str:
    if column == "p":
        return f"{row.p:.3f}"
    return (
        f"{row[column]:.{MEASURES[row.metric].digits}f}" if column in _WRITTEN else str(row[column])
    )


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("compare", __doc__)
    parser.add_argument("a", type=Path, metavar="A", help="results/<subject>, evaluated")
    parser.add_argument("b", type=Path, metavar="B", help="another")
    args = parser.parse_args(argv)

    def work() -> None:
        a, b = read_run(args.a), read_run(args.b)
        table = compare(a, b)
        names = "_".join(run.home.absolute().name for run in (a, b))
        with files.atomic(a.home.absolute().parent / f"tables/compare_{names}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        print(formats.markdown([page(a, b, table)]), end="")

    return cli.run_command(args, work)


if __name__ == "__main__":
    sys.exit(main())
