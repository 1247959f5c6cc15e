"""A copy of the project in which the rig is baked already."""

import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import project, snakemake

__all__ = ["baked", "project", "snakemake"]


@pytest.fixture
def baked(project: Path, anny_rig_path: Path) -> Path:
    (project / "results/rigs").mkdir(parents=True)
    shutil.copy(anny_rig_path, project / "results/rigs/anny.npz")
    return project
