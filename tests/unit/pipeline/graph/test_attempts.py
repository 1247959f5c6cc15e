"""Which attempts are repeated, and what is left of those that failed."""

import json
import logging
from pathlib import Path

import pytest

from avatar.train.clock import JOB_END
from pipeline.graph.attempts import Attempts

LOG = Path("none.log")
OF = 5000  # images of a training


@pytest.fixture
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempts:
    monkeypatch.setenv("PATH", str(tmp_path))  # without Slurm
    return Attempts(tmp_path, retries=2)


def checkpoint(results: Path, images: int, run: str = "0123456789ab") -> None:
    path = results / f"anna/checkpoints/{run}/{images:09d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"numbers": {"images": images, "of": OF}}))


def reported(attempts: Attempts, state: str, message: str = "", log: str = "") -> int:
    """As Slurm's executor reports it; returns Snakemake's number of the job."""
    message = message or f"SLURM-job '12' failed, SLURM status is: '{state}'. No details."
    about = {"rule_msg": message, "jobid": 5, "aux": {"external_jobid": "12"}}
    about["log"] = ["results/logs/anna/train.log", log]
    attempts.handle(logging.makeLogRecord(about))
    return 5


def left(results: Path, stage: str) -> str:
    return json.loads((results / f"anna/failures/{stage}.json").read_text())["error"]


def test_interruptions_after_which_training_advanced_are_not_counted(
    tmp_path: Path, attempts: Attempts
) -> None:
    checkpoint(tmp_path, 100)  # of a run before
    attempts.scale("anna", "train")
    for images in range(200, 1200, 100):
        checkpoint(tmp_path, images)
        assert attempts.ended("anna", "train", LOG)
    assert [attempts.ended("anna", "train", LOG) for _ in range(3)] == [True, True, False]


def test_a_job_that_hardly_advances_is_a_fault(tmp_path: Path, attempts: Attempts) -> None:
    """It would take more than a hundred attempts."""
    attempts.scale("anna", "train")
    for images, again in ((OF // 200, True), (OF // 120, True), (OF // 100, False)):
        checkpoint(tmp_path, images)
        assert attempts.ended("anna", "train", LOG) == again


def test_a_damaged_checkpoint_is_no_progress(tmp_path: Path, attempts: Attempts) -> None:
    attempts.scale("anna", "train")
    for images in (1000, 2000, 3000):
        checkpoint(tmp_path, images)
    for path in tmp_path.glob("anna/checkpoints/*/*.json"):
        path.write_text("{")
    assert [attempts.ended("anna", "train", LOG) for _ in range(3)] == [True, True, False]


def test_a_new_run_of_training_advances_from_its_start(tmp_path: Path, attempts: Attempts) -> None:
    checkpoint(tmp_path, 8000, "aaaaaaaaaaaa")
    attempts.scale("anna", "train")
    for images in (200, 400, 600, 800):
        checkpoint(tmp_path, images, "bbbbbbbbbbbb")
        assert attempts.ended("anna", "train", LOG)


def test_a_mistake_of_the_user_is_not_repeated(tmp_path: Path, attempts: Attempts) -> None:
    record = tmp_path / "anna/failures/ingest.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"stage": "ingest", "error": "no video", "exit_code": 2}))
    assert not attempts.ended("anna", "ingest", LOG)
    assert left(tmp_path, "ingest") == "no video"
    record.write_text(json.dumps({"stage": "ingest", "error": "internal", "exit_code": 1}))
    assert attempts.ended("anna", "ingest", LOG)


def test_nothing_is_repeated_where_no_retries_were_asked_for(tmp_path: Path) -> None:
    checkpoint(tmp_path, 100)
    assert not Attempts(tmp_path, retries=0).ended("anna", "track", LOG)


def test_more_memory_after_too_little_more_time_after_a_limit_without_progress(
    tmp_path: Path, attempts: Attempts
) -> None:
    for number in (2, 3):
        jobid = reported(attempts, "OUT_OF_MEMORY")
        assert attempts.ended("anna", "track", LOG, jobid)
        assert attempts.scale("anna", "track") == (number, 1)
    assert left(tmp_path, "track").startswith("out of memory: Slurm ended job 12")
    attempts.scale("anna", "train")
    checkpoint(tmp_path, 1000)
    attempts.ended("anna", "train", LOG, reported(attempts, "TIMEOUT"))
    assert attempts.scale("anna", "train") == (1, 1)
    attempts.ended("anna", "train", LOG, reported(attempts, "TIMEOUT"))
    assert attempts.scale("anna", "train") == (1, 2)


def test_more_time_after_a_training_that_had_to_leave_at_once(
    tmp_path: Path, attempts: Attempts
) -> None:
    """It leaves before Slurm has to end it, which calls the job FAILED."""
    log = tmp_path / "train.log"
    attempts.scale("anna", "train")
    for images, expected in ((1000, 1), (1004, 2), (1008, 3)):
        checkpoint(tmp_path, images)
        log.write_text(f"error: training was stopped by {JOB_END} after {images} images\n")
        assert attempts.ended("anna", "train", log, reported(attempts, "FAILED"))
        assert attempts.scale("anna", "train") == (1, expected)


def test_a_stage_that_was_killed_for_its_memory_is_found_in_slurms_log(
    tmp_path: Path, attempts: Attempts
) -> None:
    """Snakemake around it lives on and ends with an error: Slurm calls the job FAILED."""
    log = tmp_path / "12.log"
    log.write_text("slurmstepd-n2: error: Detected 1 oom-kill event(s) in StepId=12.0.\nExiting\n")
    attempts.ended("anna", "train", LOG, reported(attempts, "FAILED", log=str(log)))
    assert left(tmp_path, "train").startswith("out of memory: Slurm ended job 12")
    assert attempts.scale("anna", "train") == (2, 1)


def test_the_last_attempt_has_the_cause(tmp_path: Path, attempts: Attempts) -> None:
    """Though the stage did not begin, which clears what the attempt before has left."""
    attempts.ended("anna", "train", LOG, reported(attempts, "CANCELLED"))
    attempts.ended("anna", "train", LOG, reported(attempts, "NODE_FAIL"))
    assert left(tmp_path, "train").startswith("node failure: job 12 was lost")


def test_a_job_that_was_refused_is_told_what_to_set(tmp_path: Path, attempts: Attempts) -> None:
    message = (
        "SLURM sbatch failed. The error message was 'sbatch: error: Invalid generic resource "
        "(gres) specification'.\n    sbatch call:\n        sbatch --parsable\n"
    )
    attempts.ended("anna", "train", LOG, reported(attempts, "", message))
    assert left(tmp_path, "train").startswith(
        "Slurm refused the job (sbatch: error: Invalid generic resource (gres) specification): run "
    )


def test_without_a_scheduler_the_log_has_the_cause(tmp_path: Path, attempts: Attempts) -> None:
    log = tmp_path / "train.log"
    log.write_text("error: train.lock is held by process 7\n")
    attempts.ended("anna", "train", log)
    assert left(tmp_path, "train") == "train.lock is held by process 7"
