"""Attempts that bring training no further: more memory for the next one, or an end with a cause."""

import json
from functools import partial
from pathlib import Path

from tests.cluster.conftest import SUBJECT, Start, ask, status
from tests.cluster.toy_slurm import ToySlurm, wait_for

RUN = ("--profile", "slurm", SUBJECT, "--until", "train")


def test_out_of_memory(slurm: ToySlurm, packed: Path, start: Start) -> None:
    ask(packed, mem_mb="500 * attempt")
    record = packed / f"results/{SUBJECT}/failures/train.json"
    run = start(packed, *RUN)
    wait_for(record.exists, 120, "the cause of the first failure")
    cause = json.loads(record.read_text())["error"]
    assert run.wait() == 0, run.text
    first, *_, last = slurm.of_rule("train")
    assert cause.startswith(f"out of memory: Slurm ended job {first['job_id']} on {first['nodes']}")
    assert last["state"] == "COMPLETED"
    assert not record.exists()


def test_no_progress_twice(slurm: ToySlurm, packed: Path, start: Start) -> None:
    """A job that is cancelled before its first checkpoint, again and again."""
    run = start(packed, "--profile", "slurm", SUBJECT, "--retries", "1")
    for number in (1, 2):
        wait_for(partial(slurm.has, "train", number), 60, "another attempt")
        job = slurm.running("train")
        slurm.command("scancel", job["job_id"])
    assert run.wait() == 1
    cause = f"cancelled: job {job['job_id']} on {job['nodes']} was ended by scancel"
    assert run.last_line.startswith(f"{SUBJECT}/train: {cause}")
    assert cause in (packed / "results/tables/metrics.md").read_text()
    record = json.loads((packed / f"results/{SUBJECT}/failures/train.json").read_text())
    assert record["error"].startswith(cause)
    row = status(packed, "train")
    assert (row["state"], row["cause"]) == ("failed", record["error"])
