"""A copy of the workflow in a temporary folder, run by the real Snakemake."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("workflow", "config", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    (tmp_path / "slurm").symlink_to("profiles/slurm")
    (tmp_path / "captures").mkdir()
    return tmp_path


@pytest.fixture
def snakemake(project: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("snakemake"), *arguments],
            cwd=project, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


def without_gpus(profile: str) -> str:
    """The profile's text as the documentation has it for a lab without GPUs."""
    before, after = profile.split("set-resources:\n")
    return before + after[after.index("# Beside a GPU") :]
