"""Wall time of each stage of a run: python -m benchmarks.stages [LOG]

Reads a log of Snakemake (the newest of .snakemake/log/ unless given; after a fresh `make demo`
LOG is the log of its first command), which has the time at which each job started and ended, in
whole seconds.
"""

import argparse
import re
from datetime import datetime
from pathlib import Path

from avatar.base.errors import UserError
from benchmarks import report

STAMP = "%a %b %d %H:%M:%S %Y"
SOURCES = ["avatar", "pipeline", "workflow", "Snakefile"]


def jobs(log: str) -> list[tuple[str, datetime, datetime]]:
    """Rule, start and end of each finished job of a log."""
    now = datetime.min
    started: dict[str, tuple[str, datetime]] = {}
    found = []
    rule = ""
    for line in log.splitlines():
        if stamp := re.fullmatch(r"\[(.+ \d{4})\]", line):
            now = datetime.strptime(stamp[1], STAMP)
        elif begun := re.fullmatch(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            rule = begun[1]
        elif number := re.fullmatch(r"\s+jobid: (\d+)", line):
            started[number[1]] = (rule, now)
        elif ended := re.match(r"Finished jobid: (\d+)", line):
            name, start = started[ended[1]]
            found.append((name, start, now))
    return found


def table(found: list[tuple[str, datetime, datetime]]) -> str:
    """Seconds of each job, and from the first start to the last end."""
    rows = [[name, f"{(end - start).total_seconds():.0f}"] for name, start, end in found]
    first, last = min(start for _, start, _ in found), max(end for _, _, end in found)
    rows.append(
        ["all, from the first start to the last end", f"{(last - first).total_seconds():.0f}"]
    )
    return report.table(["stage", "wall, s"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, nargs="?")
    report.add_option(parser)
    args = parser.parse_args()
    logs = [args.log] if args.log else sorted(Path(".snakemake/log").glob("*.log"))
    found = jobs(logs[-1].read_text(encoding="utf-8")) if logs else []
    if not found:
        raise UserError("no finished job in a log of Snakemake here: run make demo first")
    report.publish("docs/performance.md", "stages", table(found), SOURCES, args.write)


if __name__ == "__main__":
    main()
