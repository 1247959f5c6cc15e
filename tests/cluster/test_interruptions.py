"""What ends a training early costs no bit of the avatar, and none of the retries for faults."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import (
    LONG,
    LONGER,
    SUBJECT,
    TRAINING,
    Start,
    Undisturbed,
    ask,
    bits,
    images,
    train_long,
    trained_beyond,
)
from tests.cluster.toy_slurm import ToySlurm, wait_for

RUN = ("--profile", "slurm", SUBJECT, "--until", "train")
Interruption = Callable[[ToySlurm, str], object]


def kill(slurm: ToySlurm, job_id: str) -> None:
    """As the kernel does when the node has no memory left."""
    for process in slurm.processes(job_id, TRAINING):
        os.kill(process, signal.SIGKILL)


def cancel(slurm: ToySlurm, job_id: str) -> None:
    slurm.command("scancel", job_id)


def requeue(slurm: ToySlurm, job_id: str) -> None:
    slurm.command("scontrol", "requeue", job_id)


def preempt(slurm: ToySlurm, job_id: str) -> None:
    """A job of more importance takes all nodes."""
    wide = ("--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null")
    slurm.command("sbatch", *wide, "--wrap=sleep 3")


def interrupt(slurm: ToySlurm, project: Path, how: Interruption) -> dict[str, str]:
    """Interrupt a training once it has advanced (`pipeline.graph.attempts`); returns its job."""
    trained_beyond(project, images(project) + 2 * LONG // 100)
    job = slurm.running("train")
    how(slurm, job["job_id"])
    wait_for(lambda: not slurm.processes(job["job_id"], TRAINING), 60, "the end of training")
    return job


def states(slurm: ToySlurm) -> list[str]:
    return [job["state"] for job in slurm.of_rule("train")]


def test_time_limit(slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed) -> None:
    train_long(long, LONGER)
    ask(long, runtime=1)
    run = start(long, *RUN)
    assert run.wait() == 0, run.text
    *before, last = states(slurm)
    assert last == "COMPLETED"
    assert set(before) == {"FAILED"}, "training left before Slurm had to end it"
    assert bits(long) == undisturbed(LONGER)


@pytest.mark.parametrize("how", [kill, cancel])
def test_a_new_job_goes_on(
    slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed, how: Interruption
) -> None:
    run = start(long, *RUN)
    interrupt(slurm, long, how)
    assert run.wait() == 0, run.text
    assert states(slurm) == [{kill: "FAILED", cancel: "CANCELLED"}[how], "COMPLETED"]
    assert bits(long) == undisturbed(LONG)


def test_preemption(slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed) -> None:
    run = start(long, *RUN)
    interrupt(slurm, long, preempt)
    assert run.wait() == 0, run.text
    assert states(slurm) == ["COMPLETED"], "Slurm itself starts the same job again"
    assert bits(long) == undisturbed(LONG)


def test_a_node_fails(slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed) -> None:
    run = start(long, *RUN)
    trained_beyond(long, 0)
    before = slurm.running("train")
    slurm.kill_node(before["nodes"])
    assert run.wait() == 0, run.text
    (after,) = slurm.of_rule("train")
    assert (after["job_id"], after["state"]) == (before["job_id"], "COMPLETED")
    assert after["nodes"] != before["nodes"]
    assert bits(long) == undisturbed(LONG)


def test_five_in_a_row(slurm: ToySlurm, long: Path, start: Start, undisturbed: Undisturbed) -> None:
    train_long(long, 2 * LONG)
    run = start(long, *RUN, "--retries", "1")  # of faults; the second would end it
    for how in (kill, requeue, cancel, requeue, requeue):
        interrupt(slurm, long, how)
    assert run.wait() == 0, run.text
    assert states(slurm) == ["FAILED", "CANCELLED", "COMPLETED"]
    assert bits(long) == undisturbed(2 * LONG)
