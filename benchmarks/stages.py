"""Wall time of each stage of a run: python -m benchmarks.stages [LOG]

Reads a log of Snakemake (the newest of .snakemake/log/ unless given; after a fresh `make demo`
LOG is the log of its first command), which has the time at which each job started and ended, in
whole seconds.
"""

import argparse
import re
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from avatar.base.errors import UserError
from benchmarks import report

STAMP = "%a %b %d %H:%M:%S %Y"
SOURCES = ["avatar", "pipeline", "workflow"]


class Job(NamedTuple):
    """A job of a log that finished; one without a subject has an empty one."""

    rule: str
    subject: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Wall time."""
        return (self.end - self.start).total_seconds()


def jobs(log: str) -> list[Job]:
    """The finished jobs of a log."""
    now = datetime.min
    started: dict[str, Job] = {}
    found = []
    rule = number = ""
    for line in log.splitlines():
        if stamp := re.fullmatch(r"\[(.+ \d{4})\]", line):
            now = datetime.strptime(stamp[1], STAMP)
        elif begun := re.fullmatch(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            rule = begun[1]
        elif named := re.fullmatch(r"\s+jobid: (\d+)", line):
            number = named[1]
            started[number] = Job(rule, "", now, now)
        elif of := re.match(r"\s+wildcards: subject=([\w-]+)", line):
            started[number] = started[number]._replace(subject=of[1])
        elif ended := re.match(r"Finished jobid: (\d+)", line):
            found.append(started[ended[1]]._replace(end=now))
    return found


def table(found: list[Job]) -> str:
    """Seconds of each job, and from the first start to the last end."""
    rows = [[job.rule, f"{job.seconds:.0f}"] for job in found]
    first, last = min(job.start for job in found), max(job.end for job in found)
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
