"""A batch in which jobs and nodes fail at random: nothing is lost, and nothing is done twice.

It takes about ten minutes. To be that short it leaves out the stages before training: one small
dataset serves all subjects. They differ by their seed, of which there are few, so that every
disturbed training can be compared, bit for bit, with undisturbed ones.
"""

import os
import random
import re
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from avatar.base import made
from tests.cluster.conftest import SUBJECT, Start, bits, change, configure
from tests.cluster.toy_slurm import NODES, ToySlurm

SUBJECTS = [f"person_{number:02}" for number in range(30)]
SEEDS = 2
IMAGES = 300
STAGES = ("train", "evaluate", "report")
KINDS = ("kill", "cancel", "time", "memory")
LITTLE = 500  # MB, less than any stage takes
DOWN = 20.0  # seconds that a node is away
LIMIT = 1500.0  # seconds that the batch may take


@dataclass(frozen=True)
class Job:
    """A job of Slurm."""

    number: str
    state: str
    stage: str
    subject: str


@dataclass
class Fault:
    """What shall happen to a subject, once.

    Attributes:
        after: seconds that the stage's job has run; of training, tens of images that are saved.
        images: in the last checkpoint when it happened; None: it did not happen.
    """

    kind: str
    stage: str
    after: float
    images: int | None = None


def draw(seed: int) -> dict[str, Fault]:
    """A fault for two of three subjects; memory is too little from the start of a job."""
    chance = random.Random(seed)
    chosen = chance.sample(SUBJECTS, 2 * len(SUBJECTS) // 3)
    return {
        subject: Fault(KINDS[n % len(KINDS)], chance.choice(STAGES), chance.uniform(1, 20))
        for n, subject in enumerate(chosen)
    }


def make_batch(project: Path, faults: dict[str, Fault]) -> None:
    """Copies of the packed subject with seeds, and a profile that gives some too little memory."""
    configure(project, train={"overrides": {"images": IMAGES}, "checkpoint_minutes": 0.02})
    (project / "config/subjects").mkdir()
    for number, subject in enumerate(SUBJECTS):
        for folder in ("captures", "results"):
            shutil.copytree(project / folder / SUBJECT, project / folder / subject)
        own = yaml.safe_dump({"train": {"seed": number % SEEDS}})
        (project / f"config/subjects/{subject}.yaml").write_text(own)
    for folder in ("captures", "results"):
        shutil.rmtree(project / folder / SUBJECT)
    profile = project / "profiles/slurm/config.yaml"
    resources = yaml.safe_load(profile.read_text())["set-resources"]
    for stage in STAGES:
        few = [s for s, f in faults.items() if f.kind == "memory" and f.stage == stage]
        memory = f"{LITTLE} if wildcards.subject in {few} and attempt == 1 else 3000"
        resources[stage] = resources.get(stage, {}) | {"mem_mb": memory}
    change(profile, {"set-resources": resources})


def jobs(slurm: ToySlurm) -> list[Job]:
    """All jobs of the batch so far."""
    text = slurm.command("squeue", "--states=all", "--noheader", "--format=%A|%T|%k")
    found = re.findall(r"^(\d+)\|(\w+)\|rule_(\w+)_wildcards_(person_\d+)_", text, re.M)
    return [Job(*fields) for fields in sorted(found, key=lambda fields: int(fields[0]))]


def last_checkpoint(project: Path, subject: str) -> int:
    found = (project / f"results/{subject}/checkpoints").glob("*/[0-9]*.json")
    return max((int(path.stem) for path in found), default=0)


def inject(slurm: ToySlurm, job: Job, kind: str) -> None:
    """Let a running job fail."""
    if kind == "kill":
        for process in slurm.processes(job.number):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    elif kind == "cancel":
        slurm.command("scancel", job.number)
    elif kind == "time":
        slurm.command("scontrol", "update", f"JobId={job.number}", "EndTime=now")


class Injector:
    """Lets jobs and nodes fail while a batch runs."""

    def __init__(self, slurm: ToySlurm, project: Path, faults: dict[str, Fault]) -> None:
        self._slurm, self._project, self._faults = slurm, project, faults
        self._since: dict[str, float] = {}
        self._nodes = dict(zip(NODES[:2], (60.0, 180.0), strict=True))
        self._began = time.monotonic()

    def step(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for job in jobs(self._slurm):
            if job.state == "RUNNING":
                ran = now - self._since.setdefault(job.number, now)
                self._look_at(job, ran)
        for node, moment in list(self._nodes.items()):
            if now - self._began > moment:
                self._slurm.kill_node(node)
                time.sleep(DOWN)
                self._slurm.start_node(node)
                del self._nodes[node]

    def _look_at(self, job: Job, ran: float) -> None:
        fault = self._faults.get(job.subject)
        if fault is None or fault.images is not None or fault.stage != job.stage:
            return
        images = last_checkpoint(self._project, job.subject)
        advance = images / 10 if job.stage == "train" else ran
        if fault.kind == "memory" or advance > fault.after:
            fault.images = images
            inject(self._slurm, job, fault.kind)


@pytest.mark.parametrize("cluster", ["cgroup"], indirect=True)
def test_a_batch_with_faults(slurm: ToySlurm, packed: Path, start: Start) -> None:
    faults = draw(seed=1)
    make_batch(packed, faults)
    run = start(packed, "--profile", "slurm", "--keep-going")
    injector = Injector(slurm, packed, faults)
    end = time.monotonic() + LIMIT
    while run.process.poll() is None:
        assert time.monotonic() < end, run.text
        injector.step()
        time.sleep(1)
    assert run.process.returncode == 0, run.text
    happened = [fault for fault in faults.values() if fault.images is not None]
    assert len(happened) > len(faults) / 2
    assert {fault.kind for fault in happened} == set(KINDS)
    check_rows(packed)
    check_work(packed, faults, jobs(slurm))


def check_rows(project: Path) -> None:
    """A right row for every subject."""
    table = pd.read_csv(project / "results/tables/metrics.csv", keep_default_na=False)
    table = table[table.protocol == "self_reenactment"]
    assert sorted(table.subject) == SUBJECTS
    assert set(table.images.astype(int)) == {IMAGES}
    assert "failed" not in (project / "results/tables/metrics.md").read_text()
    for seed in range(SEEDS):
        same = SUBJECTS[seed::SEEDS]
        assert len({str(bits(project, subject)) for subject in same}) == 1
        assert len(set(table[table.subject.isin(same)].psnr)) == 1
    assert table.psnr.nunique() == SEEDS


def check_work(project: Path, faults: dict[str, Fault], done: list[Job]) -> None:
    """Every stage was done once, and training went on from its last checkpoint."""
    for subject in SUBJECTS:
        home = project / "results" / subject
        for stage in STAGES:
            assert len(made.stamps(home, stage)) == 1
            mine = [job for job in done if (job.subject, job.stage) == (subject, stage)]
            assert [job.state for job in mine].count("COMPLETED") == 1
            assert mine[-1].state == "COMPLETED"
            expected = 1 + (subject in faults and faults[subject].stage == stage)
            assert len(mine) <= expected or "NODE_FAIL" in {job.state for job in mine}
        fault = faults.get(subject)
        if fault and fault.stage == "train":
            assert begun_at(project, subject) >= (fault.images or 0)


def begun_at(project: Path, subject: str) -> int:
    """Images that were done when the last job of a training began."""
    (log,) = (project / f"results/logs/{subject}").glob(f"train-{'?' * 12}.log")
    text = log.read_text()
    if "is finished: same dataset, settings, seed and code" in text:
        return IMAGES
    (images,) = re.findall(rf"(\d+) of {IMAGES} images done", text)
    return int(images)
