"""What failed in a run of the workflow: one line for each job."""

from pathlib import Path
from typing import Any

from avatar.base import files, made
from pipeline.common.text import shown

_TAIL = 8192  # bytes of a log in which its error line is looked for


def failure_lines(results: Path, since: float, failed: list[tuple[str, str, str]]) -> list[str]:
    """`subject/stage: its error`, of every job that failed.

    Args:
        since: time (s) at which the run began; a record from before is not of this run.
        failed: subject, stage and log of the jobs that failed, killed ones too.
    """
    order = {stage: number for number, stage in enumerate(made.STAGES)}
    jobs = sorted(failed, key=lambda job: (job[0], order.get(job[1], -1)))
    lines = []
    for subject, stage, log in jobs:
        record = read_record(results / subject, stage, since)
        error = shown(record["error"]) if record else error_in_log(Path(log), since)
        lines.append(f"{shown(subject)}/{stage}: {error}")
    return lines


def read_record(home: Path, stage: str, since: float) -> dict[str, Any] | None:
    """The failure record of a stage; None if there is none of after `since` that can be read."""
    path = home / "failures" / f"{stage}.json"
    try:
        record = files.read_json(path)
        return record if path.stat().st_mtime >= since and record["error"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def error_in_log(log: Path, since: float) -> str:
    """The last error line of a log; a job that was killed had no time to write one.

    Args:
        since: a log from before is of another attempt.
    """
    lines = tail_of(log).splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors and log.stat().st_mtime >= since:
        return shown(errors[-1])
    return f"ended without an error line: killed, or out of memory; its log is {log}"


def tail_of(log: Path) -> str:
    """The end of a log; empty where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
