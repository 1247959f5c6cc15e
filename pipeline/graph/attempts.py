"""Attempts of the jobs of one run: why each ended, and whether there is another.

A mistake of the user is not repeated. An attempt that ended without one, but advanced (its last
checkpoint is a hundredth of the training later), was interrupted and is repeated as often as that
happens. Any other is a fault, of which a job has as many as the profile's `retries`. After running
out of memory a job asks for more of it, after a time limit without progress for more time.

What ended an attempt is left in `results/<subject>/failures/<stage>.json`, where the stage itself
had no time to do so: Slurm ends jobs by SIGKILL.
"""

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path

from avatar.base import files, made, slurm
from avatar.base.errors import UserError
from avatar.train.clock import JOB_END
from pipeline.common.text import shown
from pipeline.graph.failures import error_in_log, read_record, tail_of

ADVANCE = 0.01  # of the training: attempts that do less could go on for ever
_STATE = re.compile(r"SLURM status is: '(\w+)")
_KILLED_FOR_MEMORY = re.compile(r"oom-kill event|exceeded.* memory limit", re.IGNORECASE)
_REFUSED = re.compile(r"sbatch failed\. The error message was '(.*?)'\.\s", re.DOTALL)


@dataclass
class _Job:
    """What is known of a job.

    Attributes:
        ended: time (s) at which the attempt before ended.
        progress: the share of each run of training that its last checkpoint has.
        faults, out_of_memory, out_of_time: how many attempts ended so.
    """

    ended: float
    progress: dict[str, float]
    faults: int = 0
    out_of_memory: int = 0
    out_of_time: int = 0


@dataclass(frozen=True)
class Report:
    """What an executor says of an attempt that failed.

    Attributes:
        message: its text.
        number: Slurm's number of the attempt; empty on one machine.
        log: Slurm's log of it.
    """

    message: str = ""
    number: str = ""
    log: str = ""

    @property
    def state(self) -> str:
        """Slurm's name for how it ended; empty on one machine.

        Where only the stage was killed for its memory, and not Snakemake around it, Slurm calls the
        job FAILED and tells the reason in its log.
        """
        found = _STATE.search(self.message)
        state = found[1] if found else ""
        if state == "FAILED" and _KILLED_FOR_MEMORY.search(tail_of(Path(self.log))):
            return "OUT_OF_MEMORY"
        return state


class Attempts(logging.Handler):
    """The attempts of all jobs; a handler of Snakemake's log, where executors report failures.

    Attributes:
        retries: faults that a job may have and be tried again.
    """

    def __init__(self, results: Path, retries: int = 0) -> None:
        super().__init__()
        self._results, self.retries = results, retries
        self._began = time.time()
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._reports: dict[object, Report] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the report of a failed attempt."""
        about = vars(record)
        if "rule_msg" in about and "jobid" in about:
            number = (about.get("aux") or {}).get("external_jobid")
            logs = about.get("log") or [""]  # the executor's is the last
            texts = (str(value or "") for value in (about["rule_msg"], number, logs[-1]))
            self._reports[about["jobid"]] = Report(*texts)

    def _job(self, subject: str, stage: str) -> _Job:
        if (subject, stage) not in self._jobs:
            progress = self._progress(subject, stage)
            self._jobs[subject, stage] = _Job(self._began, progress)
        return self._jobs[subject, stage]

    def _progress(self, subject: str, stage: str) -> dict[str, float]:
        """The share of each run of training that its last checkpoint has."""
        found: dict[str, float] = {}
        if stage == "train":
            for path in (self._results / subject / "checkpoints").glob("*/[0-9]*.json"):
                found[path.parent.name] = max(found.get(path.parent.name, 0), _share(path))
        return found

    def ended(self, subject: str, stage: str, log: Path, jobid: object = None) -> bool:
        """Note that an attempt failed and leave its cause; whether there is another.

        Args:
            log: of the stage.
            jobid: Snakemake's, under which its executor reported the failure.
        """
        job, home = self._job(subject, stage), self._results / subject
        report = self._reports.pop(jobid, Report())
        state = report.state
        record, error = read_record(home, stage, job.ended), error_in_log(log, job.ended)
        if record is None and stage in made.STAGES:
            self._leave(home, stage, _cause(report, state) or error)
        job.ended = time.time()  # later than what is left here: it is not of the next attempt
        progress = self._progress(subject, stage)
        advanced = any(
            share - job.progress.get(run, 0) >= ADVANCE for run, share in progress.items()
        )
        job.progress = progress
        job.out_of_memory += state == "OUT_OF_MEMORY"
        job.out_of_time += (state == "TIMEOUT" or JOB_END in error) and not advanced
        job.faults += not advanced
        if record is not None and record.get("exit_code") == UserError.exit_code:
            return False
        return self.retries > 0 and job.faults <= self.retries

    def _leave(self, home: Path, stage: str, error: str) -> None:
        try:
            files.write_json(home / "failures" / f"{stage}.json", {"stage": stage, "error": error})
        except (OSError, UserError) as problem:
            logging.getLogger(__name__).warning("no failure record: %s", problem)

    def scale(self, subject: str, stage: str) -> tuple[int, int]:
        """How many times the first attempt's memory and time the next one asks for."""
        job = self._job(subject, stage)
        return 1 + job.out_of_memory, 1 + job.out_of_time


def _share(checkpoint: Path) -> float:
    """How much of a training is done; 0 where the file cannot be read."""
    try:
        numbers = files.read_json(checkpoint)["numbers"]
        return float(numbers["images"] / numbers["of"])
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return 0.0


def _cause(report: Report, state: str) -> str:
    """Why Slurm ended an attempt, in one sentence with what to do; empty if it did not."""
    refused = _REFUSED.search(report.message)
    if refused:
        return (
            f"Slurm refused the job ({shown(refused[1])}): run 'headsplat doctor --slurm', and set "
            "partition, account and GPU in profiles/slurm/config.yaml"
        )
    return slurm.cause(report.number, state, slurm.ask(report.number)) if state else ""
