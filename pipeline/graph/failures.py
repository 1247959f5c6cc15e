"""What failed in a run of the workflow: one line for each job."""

from pathlib import Path

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
        record = results / subject / "failures" / f"{stage}.json"
        error = _from_record(record, since) or _from_log(Path(log))
        lines.append(f"{shown(subject)}/{stage}: {error}")
    return lines


def _from_record(record: Path, since: float) -> str:
    try:
        if record.stat().st_mtime < since:
            return ""
        return shown(files.read_json(record)["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _from_log(log: Path) -> str:
    """The last error line of a log; a job that was killed had no time to write one."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            tail = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        tail = []
    errors = [line.removeprefix("error: ") for line in tail if line.startswith("error: ")]
    if errors:
        return shown(errors[-1])
    return f"ended without an error line: killed, or out of memory; its log is {log}"
