"""`headsplat status` while jobs wait and run, and afterwards."""

from pathlib import Path

from tests.cluster.conftest import LONGER, SUBJECT, Start, images, status, train_long
from tests.cluster.toy_slurm import ToySlurm, wait_for


def test_from_the_queue_to_the_end(slurm: ToySlurm, long: Path, start: Start) -> None:
    train_long(long, LONGER)
    wide = ("--nodes=3", "--exclusive", "--output=/dev/null")
    slurm.command("sbatch", "--partition=urgent", *wide, "--wrap=sleep 120")
    run = start(long, "--profile", "slurm", SUBJECT, "--until", "train")
    wait_for(lambda: status(long, "train")["cause"] == "Resources", 60, "a job in the queue")
    (job,) = slurm.of_rule("train")
    row = status(long, "train")
    assert (row["state"], row["job"], row["node"]) == ("queued", job["job_id"], "")
    (other,) = (job for job in slurm.jobs() if not job["rule"])
    slurm.command("scancel", other["job_id"])

    job = slurm.running("train")
    wait_for(lambda: int(status(long, "train")["images"] or 0), 60, "progress")
    row = status(long, "train")
    assert (row["state"], row["job"], row["node"]) == ("running", job["job_id"], job["nodes"])
    assert 0 < int(row["images"]) < int(row["of"])
    assert row["left"]
    assert status(long, "evaluate")["state"] == "waiting"

    run.interrupt()
    run.wait()
    wait_for(lambda: status(long, "train")["state"] == "stopped", 60, "the end of training")
    assert status(long, "train")["images"] == str(images(long))

    train_long(long, 200)
    run = start(long, "--profile", "slurm", SUBJECT, "--until", "train")
    assert run.wait() == 0, run.text
    row = status(long, "train")
    job = slurm.of_rule("train")[-1]
    assert (row["state"], row["job"], row["cause"]) == ("done", job["job_id"], "")
    assert float(row["seconds"]) > 0
    assert (long / row["log"]).exists()
