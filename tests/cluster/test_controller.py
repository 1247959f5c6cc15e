"""The Snakemake on the login node ends, and is started again: nothing is lost or done twice."""

import shutil
from pathlib import Path

from avatar.base import made
from avatar.gaussians.avatar_file import read_about
from tests.cluster.conftest import (
    LONG,
    LONGER,
    SUBJECT,
    TRAINING,
    Start,
    Undisturbed,
    bits,
    images,
    log_of,
    train_long,
    trained_beyond,
)
from tests.cluster.toy_slurm import ToySlurm, wait_for

RUN = ("--profile", "slurm", SUBJECT, "--until", "train")


def states(slurm: ToySlurm) -> list[str]:
    return [job["state"] for job in slurm.of_rule("train")]


def ended(slurm: ToySlurm, job_id: str) -> None:
    """Wait for the end of a training's processes, and until Slurm has cleared up after them."""
    wait_for(lambda: not slurm.processes(job_id, TRAINING), 120, "the end of training")
    wait_for(lambda: "COMPLETING" not in states(slurm), 60, "the end of the job")


def test_interrupted(slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed) -> None:
    run = start(long, *RUN)
    trained_beyond(long, 0)
    job = slurm.running("train")
    run.interrupt()
    assert run.wait() != 0
    ended(slurm, job["job_id"])
    assert states(slurm) == ["CANCELLED"]
    done = images(long)
    again = start(long, *RUN)
    assert again.wait() == 0, again.text
    assert states(slurm) == ["CANCELLED", "COMPLETED"]
    assert f"{done} of" in log_of(long, "train"), "it goes on from the last checkpoint"
    assert bits(long) == undisturbed(LONG)


def test_terminated(slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed) -> None:
    run = start(long, "--profile", "slurm", SUBJECT)
    trained_beyond(long, 0)
    run.process.terminate()
    run.wait()
    assert states(slurm) == ["COMPLETED"], "what runs may end"
    assert slurm.of_rule("evaluate") == []
    assert bits(long) == undisturbed(LONG)
    again = start(long, "--profile", "slurm", SUBJECT, "--until", "evaluate")
    assert again.wait() == 0, again.text
    assert len(slurm.of_rule("train")) == 1
    assert [job["state"] for job in slurm.of_rule("evaluate")] == ["COMPLETED"]


def test_killed_and_started_beside_its_job(
    slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed
) -> None:
    train_long(long, LONGER)
    run = start(long, *RUN)
    trained_beyond(long, 0)
    job = slurm.running("train")
    run.kill()
    assert start(long, "--unlock", "--cores", "1").wait() == 0
    again = start(long, *RUN)
    assert again.wait() == 0, again.text
    assert states(slurm) == ["COMPLETED", "COMPLETED"]
    assert "was made by another job meanwhile" in log_of(long, "train")
    (log,) = (long / "results/logs" / SUBJECT).glob(f"train-*.{job['job_id']}.log")
    assert f"0 of {LONGER} images done" in log.read_text(), "from its beginning"
    assert "PSNR of the last training images" in log.read_text(), "... to its end"
    assert bits(long) == undisturbed(LONGER)


def test_killed_and_started_after_its_job(slurm: ToySlurm, long: Path, start: Start) -> None:
    run = start(long, *RUN)
    slurm.running("train")
    run.kill()
    wait_for(lambda: states(slurm) == ["COMPLETED"], 120, "the end of training")
    before = read_about(long / "results" / SUBJECT / "avatar")
    assert start(long, "--unlock", "--cores", "1").wait() == 0
    again = start(long, *RUN)
    assert again.wait() == 0, again.text
    assert states(slurm) == ["COMPLETED"], "nothing is left to do"

    (stamp,) = made.stamps(long / "results" / SUBJECT, "train")
    stamp.unlink()  # as if its job had been killed between the avatar and its stamp
    again = start(long, *RUN)
    assert again.wait() == 0, again.text
    assert states(slurm) == ["COMPLETED", "COMPLETED"]
    assert "is finished: same dataset, settings, seed and code" in log_of(long, "train")
    assert read_about(long / "results" / SUBJECT / "avatar") == before


def test_two_at_once(slurm: ToySlurm, packed: Path, start: Start) -> None:
    shutil.copytree(packed / f"captures/{SUBJECT}", packed / "captures/other")
    shutil.copytree(packed / f"results/{SUBJECT}", packed / "results/other")
    first = start(packed, "--profile", "slurm", SUBJECT)
    job = slurm.running("train")
    same = start(packed, "--profile", "slurm", SUBJECT)
    assert same.wait() == 1
    assert "LockException" in same.text
    other = start(packed, "--profile", "slurm", "other")
    assert other.wait() == 0, other.text
    assert first.wait() == 0, first.text
    assert [job["rule"] for job in slurm.jobs()].count("train") == 2
    assert job["state"] == "RUNNING"
    table = (packed / "results/tables/metrics.csv").read_text()
    assert {SUBJECT, "other"} <= {line.split(",")[0] for line in table.splitlines()}
