"""What is known of every stage of every subject, from the files of results/ and from Slurm."""

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar.base import files, made, names, slurm
from pipeline.common.text import shown
from pipeline.graph.captures import FOLDER, find_captures

DONE, RUNNING, QUEUED, FAILED, STOPPED, WAITING = (
    "done", "running", "queued", "failed", "stopped", "waiting",
)  # fmt: skip
BUSY = (RUNNING, QUEUED)
_OWNER = re.compile(r"process (\d+) on ([^\s,]+)(?:, job (\d+))?")
_PROGRESS = re.compile(r"(\d+)/(\d+) \[[\d:]+<([\d:?]+)")  # of tqdm
_COMMENT = re.compile(r"rule_(\w+?)_wildcards_(.+)_[0-9a-f]{12}$")
_TAIL = 4096  # bytes of a log in which its progress is looked for


@dataclass(frozen=True)
class StageStatus:
    """A stage of a subject.

    Attributes:
        state: done; running; queued (Slurm has not started it); failed; stopped (there is a
            checkpoint, and no process); waiting (for earlier stages, or to be asked for).
        cause: of a failure, or why Slurm has not started the job.
        job: Slurm's number; empty on one machine.
        node: where it runs, or ran.
        seconds, peak_mib: what it took, once it is done: wall time and peak memory.
        images, of: progress, in the stage's own unit (training: steps; stopped: images).
        left: time left, `minutes:seconds`.
        log: path of its log.
    """

    subject: str
    stage: str
    state: str
    cause: str = ""
    job: str = ""
    node: str = ""
    seconds: float | None = None
    peak_mib: int | None = None
    images: int | None = None
    of: int | None = None
    left: str = ""
    log: str = ""


@dataclass(frozen=True)
class _Job:
    number: str
    state: str
    node: str
    reason: str


def read_status(results: Path, captures: Path = FOLDER) -> list[StageStatus]:
    """Every stage of every subject that has results or a capture, in the order of the data."""
    jobs = _slurm_jobs()
    homes = {path.parent.name for path in results.glob(f"*/{made.FOLDER}")}
    homes |= {path.parent.name for path in results.glob("*/failures")}
    subjects = {name for name in homes if names.is_name(name)}
    subjects |= set(find_captures(captures, {}, ()).paths)
    return [found for subject in sorted(subjects) for found in _of_subject(results, subject, jobs)]


def _slurm_jobs() -> dict[tuple[str, str], _Job]:
    """The newest job of each subject and stage that Slurm still remembers."""
    output, _ = slurm.run("squeue", "--me", "--states=all", "--noheader", "--format=%A|%T|%N|%r|%k")
    found = {}
    rows = (line.split("|", 4) for line in output.splitlines())
    for number, state, node, reason, comment in sorted(rows, key=lambda row: int(row[0])):
        match = _COMMENT.match(comment)
        if match:
            found[match[2], match[1]] = _Job(number, state, node, reason)
    return found


def _of_subject(
    results: Path, subject: str, jobs: dict[tuple[str, str], _Job]
) -> Iterator[StageStatus]:
    home = results / subject
    for stage in made.STAGES:
        log = _newest((results / "logs" / subject).glob(f"{stage}-*.log"))
        stamp = _newest(iter(made.stamps(home, stage)))
        yield StageStatus(
            subject=subject,
            stage=stage,
            log=str(log or ""),
            **_state(home, stage, log, stamp, jobs.get((subject, stage))),
        )


def _state(
    home: Path, stage: str, log: Path | None, stamp: Path | None, job: _Job | None
) -> dict[str, Any]:
    """All fields but the names and the log."""
    process, node, number = _owner(home / "locks" / f"{stage}.lock")
    if stamp:
        about = _json(stamp)
        keys = ("job", "node", "seconds", "peak_mib")
        return {"state": DONE} | {key: about[key] for key in keys if key in about}
    where = {"job": number, "node": node}
    if job and job.state == "PENDING":
        return {"state": QUEUED, "job": job.number, "cause": shown(job.reason)}
    if job and job.state in ("RUNNING", "COMPLETING"):
        return {"state": RUNNING, "job": job.number, "node": job.node} | _progress(log)
    if process and _is_alive(process, node, home.name):
        return {"state": RUNNING} | where | _progress(log)
    record = home / "failures" / f"{stage}.json"
    if record.exists():
        return {"state": FAILED, "cause": shown(_json(record).get("error", "damaged"))} | where
    checkpoints = [int(p.stem) for p in (home / "checkpoints").glob("*/[0-9]*.json")]
    if stage == "train" and checkpoints:
        return {"state": STOPPED, "images": max(checkpoints)} | where
    return {"state": WAITING}


def _owner(lock: Path) -> tuple[int, str, str]:
    """Process, machine and job that took a lock last, though it may be free now."""
    try:
        found = _OWNER.match(lock.read_text(encoding="utf-8", errors="replace")[:200])
    except OSError:
        found = None
    return (int(found[1]), found[2], found[3] or "") if found else (0, "", "")


def _is_alive(process: int, node: str, subject: str) -> bool:
    """Whether a process of this machine runs a stage of the subject."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return node == socket.gethostname() and os.fsencode(subject) in words


def _progress(log: Path | None) -> dict[str, Any]:
    """Where a stage is, by the last line of progress in its log."""
    if log is None:
        return {}
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            tail = file.read().decode("utf-8", "replace")
    except OSError:
        return {}
    found = _PROGRESS.findall(tail)
    if not found:
        return {}
    images, of, left = found[-1]
    return {"images": int(images), "of": int(of), "left": left.replace("?", "")}


def _newest(paths: Iterator[Path]) -> Path | None:
    there = (path for path in paths if path.exists())  # a log may be a link
    return max(there, key=lambda path: path.stat().st_mtime, default=None)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
