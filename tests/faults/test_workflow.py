"""Faults of a whole run: killed jobs, failed reruns, copies, many pictures."""

import os
import shutil
import time
from pathlib import Path

import pytest

from avatar.base import files, made
from tests.workflow.conftest import ROOT, Run
from tests.workflow.test_graph import pretend

# Every Python process reads this file when it starts; that of one stage kills itself.
KILL = """
import os, signal, sys
if {module!r} in sys.orig_argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _kill_stage(project: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    (project / "startup").mkdir(exist_ok=True)
    (project / "startup/sitecustomize.py").write_text(KILL.format(module=module))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project / "startup"), str(ROOT)]))


@pytest.mark.fault("4.9")
@pytest.mark.fault("4.2")
def test_a_killed_job_is_named_and_the_former_avatar_stays(
    snakemake: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "captures/anna.mp4").write_bytes(b"film")
    pretend(project, snakemake("-n", "--cores", "1", "anna"))
    home = project / "results/anna"
    scores = {"regions": {"full": {"n": 5, "psnr": 28.0, "ssim": 0.9, "flip": 0.1}}}
    about = {"subject": "anna", "group": "", "rig": "anny", "preset": "quick"}
    files.write_json(home / "eval/summary.json", about | {"protocols": {"novel_view": scores}})
    (home / "avatar/avatar.safetensors").write_bytes(b"former avatar")
    _kill_stage(project, monkeypatch, "avatar.train")

    answer = snakemake("--cores", "1", "anna", "--config", "train={seed: 5}")
    assert answer.returncode == 1
    last = answer.stderr.rstrip().splitlines()[-1]
    assert last.startswith("anna/train: ended without an error line: killed, or out of memory")
    log = Path(last.rpartition(" ")[2])
    assert (project / log).is_file()
    assert (home / "avatar/avatar.safetensors").read_bytes() == b"former avatar"
    assert (home / "eval/summary.json").is_file()


@pytest.mark.fault("4.2")
def test_tables_mark_figures_once_a_stage_is_started_again(snakemake: Run, project: Path) -> None:
    """The dataset is no dataset here: training starts, fails, and the former avatar stays."""
    (project / "captures/anna.mp4").write_bytes(b"film")
    pretend(project, snakemake("-n", "--cores", "1", "anna"))
    home = project / "results/anna"
    scores = {"regions": {"full": {"n": 5, "psnr": 28.0, "ssim": 0.9, "flip": 0.1}}}
    about = {"subject": "anna", "group": "", "rig": "anny", "preset": "quick"}
    files.write_json(home / "eval/summary.json", about | {"protocols": {"novel_view": scores}})
    assert snakemake("--cores", "1", "tables").returncode == 0
    assert "Not of the present avatar" not in (project / "results/tables/metrics.md").read_text()

    answer = snakemake("--cores", "1", "anna", "--config", "train={seed: 5}")
    assert answer.returncode == 1
    assert answer.stderr.rstrip().splitlines()[-1].startswith("anna/train: ")
    assert (home / "avatar/avatar.safetensors").is_file()
    page = (project / "results/tables/metrics.md").read_text()
    assert "| anna | measured before its data, settings or avatar changed" in page
    assert "| anna | train |" in page
    # The old settings again: the stage was started since, so it is made again.
    answer = snakemake("-n", "--cores", "1", "anna")
    assert "rule train:" in answer.stdout
    assert not made.stamps(home, "evaluate")


@pytest.mark.fault("H11")
def test_a_copy_of_the_project_without_times_plans_nothing(
    snakemake: Run, project: Path, tmp_path: Path
) -> None:
    (project / "captures/anna/talk").mkdir(parents=True)
    (project / "captures/anna/talk/cam_0.mp4").write_bytes(b"film")
    pretend(project, snakemake("-n", "--cores", "1", "anna"))
    copy = tmp_path / "copy"
    shutil.copytree(
        project, copy, copy_function=shutil.copyfile, symlinks=True,
        ignore=lambda folder, names: {"copy"},
    )  # fmt: skip
    answer = snakemake("-n", "--cores", "1", "anna", "--directory", str(copy))
    assert answer.returncode == 0
    assert "Nothing to be done" in answer.stdout + answer.stderr


@pytest.mark.fault("4.1")
def test_twenty_thousand_pictures_are_planned_in_seconds(snakemake: Run, project: Path) -> None:
    start = time.monotonic()
    assert snakemake("-n", "--cores", "1", "demo").returncode == 0
    usual = time.monotonic() - start
    folder = project / "captures/anna/talk/cam_0"
    folder.mkdir(parents=True)
    for number in range(20_000):
        (folder / f"{number:06d}.png").write_bytes(number.to_bytes(4) * 500)
    start = time.monotonic()
    answer = snakemake("-n", "--cores", "1", "anna")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert time.monotonic() - start < 2 * usual + 15
