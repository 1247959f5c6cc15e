"""What Slurm knows of a job, by `scontrol` or, where that has forgotten it, by `sacct`."""

import os
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime

_NAMES = ("State", "NodeList", "ReqMem", "Timelimit")  # of sacct


@dataclass(frozen=True)
class About:
    """A job.

    Attributes:
        state: such as RUNNING or TIMEOUT.
        node: where it ran.
        memory, limit: what it had asked for, as Slurm writes it.
    """

    state: str
    node: str
    memory: str
    limit: str


def run(*command: str, patience: float = 30.0) -> tuple[str, str]:
    """The output of one of Slurm's programs, and the reason where it fails.

    Args:
        patience: seconds to wait for it.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} does not answer within {patience:.0f} s"
    except OSError as problem:
        return "", f"{command[0]} cannot be run ({problem.strerror})"
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        return "", f"{command[0]} failed: {reason}"
    return done.stdout, ""


def ask(number: str) -> About | None:
    """What is known of a job; None if nothing is."""
    text, problem = run("scontrol", "show", "job", "-o", number)
    if not problem:
        fields = dict(re.findall(r"(\w+)=(\S*)", text))
        names = ("JobState", "NodeList", "MinMemoryNode", "TimeLimit")
        return About(*(fields.get(name, "") for name in names))
    text, problem = run("sacct", "-X", "-n", "-P", "-j", number, f"--format={','.join(_NAMES)}")
    parts = text.strip().split("\n")[-1].split("|")
    return About(*parts) if not problem and len(parts) == len(_NAMES) else None


def cause(number: str, state: str, about: About | None) -> str:
    """Why Slurm ended a job, in one sentence with what to do; empty for FAILED: it did not.

    Args:
        state: Slurm's name for how it ended.
        about: what else is known.
    """
    node = f" on {about.node}" if about and about.node not in ("", "(null)") else ""
    job = f"job {number}{node}"
    memory = f", which had asked for {about.memory}" if about and about.memory else ""
    limit = f" after {about.limit}" if about and about.limit else ""
    again = "run the command again"
    sentences = {
        "OUT_OF_MEMORY": f"out of memory: Slurm ended {job}{memory}: raise mem_mb of its stage "
        "under set-resources in profiles/slurm/config.yaml",
        "TIMEOUT": f"time limit: Slurm ended {job}{limit}: {again}, training goes on from its last "
        "checkpoint; or raise runtime under set-resources in profiles/slurm/config.yaml",
        "CANCELLED": f"cancelled: {job} was ended by scancel: {again}",
        "NODE_FAIL": f"node failure: {job} was lost: {again}",
        "PREEMPTED": f"preempted: {job} made room for another: {again}",
    }
    return sentences.get(state, "" if state == "FAILED" else f"{state}: {job}: {again}")


def job_end() -> float | None:
    """When Slurm will end this job, seconds since 1970; None: outside a job, or without a limit."""
    number = os.environ.get("SLURM_JOB_ID")
    if not number:
        return None
    text, problem = run("scontrol", "show", "job", "-o", number)
    if problem:  # a container has no scontrol
        end = os.environ.get("SLURM_JOB_END_TIME", "")
        return float(end) if end.isdigit() else None
    found = re.search(r"\bEndTime=(\d{4}-\S+)", text)  # local time, or Unknown
    return datetime.fromisoformat(found[1]).timestamp() if found else None
