"""The graph as a person meets it: targets, names, profiles, failures."""

import json
import re
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Run

STAGES = ["ingest", "matte", "track", "pack", "train", "evaluate"]


def _jobs(output: str) -> dict[str, int]:
    table = output.split("Job stats:")[-1].split("Reasons:")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_demo_plans_every_stage_once(snakemake: Run) -> None:
    answer = snakemake("-n", "--cores", "2", "demo")
    assert answer.returncode == 0
    expected = dict.fromkeys(["rig", "demo_capture", *STAGES, "demo"], 1)
    assert _jobs(answer.stdout + answer.stderr) == expected | {"total": 9}


def test_no_target_means_every_subject_but_the_demo(snakemake: Run, project: Path) -> None:
    (project / "captures/one.mp4").touch()
    (project / "captures/two").mkdir()
    (project / "captures/two/clip.mov").touch()
    (project / "captures/.hidden").touch()
    jobs = _jobs("".join((answer := snakemake("-n", "--cores", "2")).stdout + answer.stderr))
    assert jobs["train"] == 2
    assert "demo_capture" not in jobs


def test_profile_slurm_plans_a_subject_with_a_gpu(snakemake: Run, project: Path) -> None:
    (project / "captures/subject_042.mp4").touch()
    answer = snakemake("--profile", "slurm", "-n", "subject_042")
    text = answer.stdout + answer.stderr
    assert answer.returncode == 0, text
    assert _jobs(text)["train"] == 1
    train = text.split("rule train:")[1].split("rule evaluate:")[0]
    assert "gres=gpu:1" in train
    assert "mem_mb=8000" in train


def test_slurm_names_the_gpu_preset_in_the_command(snakemake: Run, project: Path) -> None:
    (project / "captures/subject_042.mp4").touch()
    answer = snakemake("--profile", "slurm", "-n", "-p", "subject_042")
    assert '"preset": "fast"' in answer.stdout + answer.stderr


@pytest.mark.parametrize("target", ["a;touch X", "../x", "$(touch X)"])
def test_a_hostile_target_gets_one_line(snakemake: Run, project: Path, target: str) -> None:
    before = sorted(project.iterdir())
    answer = snakemake("--cores", "1", target)
    assert answer.returncode == 2
    errors = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "is not allowed" in errors[0]
    assert "Traceback" not in answer.stderr
    assert [p for p in sorted(project.iterdir()) if p.name != ".snakemake"] == before


def test_a_hostile_capture_name_gets_one_line(snakemake: Run, project: Path) -> None:
    (project / "captures/a;touch X.mp4").touch()
    answer = snakemake("--cores", "1")
    assert answer.returncode == 2
    assert "error: subject name 'a;touch X' is not allowed" in answer.stderr
    assert not (project / "X.mp4").exists()


def test_an_unknown_subject_is_told_what_there_is(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    answer = snakemake("--cores", "1", "anan")
    assert answer.returncode == 2
    assert "error: no subject 'anan'" in answer.stderr
    assert "anna" in answer.stderr.split("error:")[1]


def test_the_subject_table_rules_preset_and_group(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    table = project / "config/subjects.tsv"
    table.write_text(table.read_text() + "anna\t\tpilots\t\tpaper\n")
    answer = snakemake("-n", "-p", "--cores", "1", "anna")
    text = answer.stdout + answer.stderr
    assert "--group=pilots" in text
    assert '"preset": "paper"' in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ghost\t\t\t\t\n", "ghost has no capture"),
        ("anna\t\t\t\t\nanna\t\t\t\t\n", "anna is listed twice"),
    ],
)
def test_a_bad_subject_table(snakemake: Run, project: Path, rows: str, message: str) -> None:
    (project / "captures/anna.mp4").touch()
    table = project / "config/subjects.tsv"
    table.write_text(table.read_text() + rows)
    answer = snakemake("-n", "--cores", "1")
    assert answer.returncode == 2
    assert message in answer.stderr


def test_two_captures_of_one_name_are_refused(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    (project / "captures/anna.mov").touch()
    answer = snakemake("-n", "--cores", "1")
    assert answer.returncode == 2
    assert "are both 'anna'" in answer.stderr


def test_a_misspelt_config_key_is_named(snakemake: Run, project: Path) -> None:
    config = project / "config/config.yaml"
    config.write_text(config.read_text() + "\ntrian: {preset: fast}\n")
    answer = snakemake("-n", "--cores", "1", "demo")
    assert answer.returncode != 0
    assert "trian" in answer.stdout + answer.stderr


def test_a_failed_subject_is_named_by_the_tables_and_last(snakemake: Run, project: Path) -> None:
    (project / "captures/empty.mp4").touch()
    answer = snakemake("--cores", "1", "--keep-going", "empty")
    assert answer.returncode == 1
    record = json.loads((project / "results/empty/failures/ingest.json").read_text())
    assert answer.stderr.rstrip().splitlines()[-1] == f"empty/ingest: {record['error']}"
    assert "Traceback" not in answer.stdout + answer.stderr
    table = (project / "results/tables/metrics.md").read_text()
    assert "empty" in table
    assert record["error"][:40] in table


def test_tables_run_on_nothing(snakemake: Run, project: Path) -> None:
    answer = snakemake("--cores", "1", "tables")
    assert answer.returncode == 0
    assert (project / "results/tables/metrics.csv").exists()


def test_the_workflow_is_tidy() -> None:
    import subprocess
    import sys

    snakemake = Path(sys.executable).with_name("snakemake")
    answer = subprocess.run([snakemake, "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_ready_tracks_by_path_are_an_input(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    for name in ("params.npz", "cameras.json"):
        (project / "tracks/anna").mkdir(parents=True, exist_ok=True)
        (project / "tracks/anna" / name).touch()
    config = project / "config/config.yaml"
    config.write_text(config.read_text().replace("ready: auto", "ready: tracks/{subject}"))
    answer = snakemake("-n", "-p", "--cores", "1", "anna")
    assert answer.returncode == 0, answer.stderr
    track = answer.stdout.split("rule track:")[1].split("rule pack:")[0]
    assert "input: tracks/anna/cameras.json, tracks/anna/params.npz" in track
    assert "--capture captures/anna.mp4" in track


def test_flame_needs_the_users_file(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    result = snakemake("-n", "anna", "--config", "rig=flame")
    assert result.returncode != 0
    assert "error: config/config.yaml: flame is None, which is no file" in result.stderr
    (project / "flame 2023.pkl").touch()
    result = snakemake("-n", "-p", "anna", "--config", "rig=flame", "flame=flame 2023.pkl")
    assert result.returncode == 0, result.stderr
    assert "--name flame --flame 'flame 2023.pkl' --out results/rigs/flame.npz" in result.stdout
