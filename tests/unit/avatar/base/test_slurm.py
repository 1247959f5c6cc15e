"""What Slurm's programs answer, as version 22.05 prints it."""

import time
from pathlib import Path

import pytest

from avatar.base import slurm

SCONTROL = (
    "JobId=7 JobName=x JobState=TIMEOUT Reason=TimeLimit RunTime=00:01:02 TimeLimit=00:01:00 "
    "StartTime=2026-11-29T09:15:15 EndTime=2026-11-29T09:16:17 NodeList=n2 MinMemoryNode=3000M "
    "Comment=rule_train_wildcards_a_0 EndTimes=none"
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that print a text, and the only one on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, text: str, code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    path.chmod(0o755)


def test_a_job_is_known_to_scontrol_or_else_to_sacct(programs: Path) -> None:
    assert slurm.ask("7") is None
    program(programs, "sacct", "CANCELLED by 0|n1|4000M|01:00:00")
    assert slurm.ask("7") == slurm.About("CANCELLED by 0", "n1", "4000M", "01:00:00")
    program(programs, "scontrol", SCONTROL)
    assert slurm.ask("7") == slurm.About("TIMEOUT", "n2", "3000M", "00:01:00")


def test_a_program_that_fails_says_why(programs: Path) -> None:
    program(programs, "sinfo", "no controller >&2", 1)
    assert slurm.run("sinfo") == ("", "sinfo failed: exit code 1")
    assert slurm.run("squeue") == ("", "squeue cannot be run (No such file or directory)")


@pytest.mark.parametrize(
    ("state", "start"),
    [
        ("OUT_OF_MEMORY", "out of memory: Slurm ended job 7 on n2, which had asked for 3000M: "),
        ("TIMEOUT", "time limit: Slurm ended job 7 on n2 after 00:01:00: "),
        ("CANCELLED", "cancelled: job 7 on n2 was ended by scancel: "),
        ("NODE_FAIL", "node failure: job 7 on n2 was lost: "),
        ("BOOT_FAIL", "BOOT_FAIL: job 7 on n2: run the command again"),
    ],
)
def test_causes_are_named(state: str, start: str) -> None:
    about = slurm.About(state, "n2", "3000M", "00:01:00")
    assert slurm.cause("7", state, about).startswith(start)


def test_a_job_that_failed_by_itself_has_no_cause_here() -> None:
    assert slurm.cause("7", "FAILED", None) == ""


def test_the_end_of_the_job(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    program(programs, "scontrol", SCONTROL)
    assert slurm.job_end() is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert slurm.job_end() == time.mktime((2026, 11, 29, 9, 16, 17, 0, 0, -1))
    program(programs, "scontrol", "EndTime=Unknown")
    assert slurm.job_end() is None


def test_without_scontrol_the_end_is_what_slurm_said_at_the_start(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert slurm.job_end() is None
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1796000000")
    assert slurm.job_end() == 1796000000.0
    program(programs, "scontrol", SCONTROL)
    assert slurm.job_end() != 1796000000.0, "a limit can be changed while the job runs"
