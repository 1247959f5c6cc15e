"""The graph as a person meets it: targets, names, profiles, failures."""

import json
import os
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.workflow.conftest import ROOT, Run

STAGES = ["ingest", "matte", "track", "pack", "refine", "train", "evaluate", "report"]


def _jobs(output: str) -> dict[str, int]:
    table = output.split("Job stats:")[-1].split("Reasons:")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def _made(answer: CompletedProcess[str]) -> dict[str, str]:
    """What each stage of a planned subject is made from."""
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return dict(re.findall(r"output: results/\w+/made/(\w+)-(\w+)\.json", answer.stdout))


def _lines(answer: CompletedProcess[str], kind: str) -> list[str]:
    return [line for line in answer.stderr.splitlines() if line.startswith(f"{kind}: ")]


def test_demo_plans_every_stage_once(snakemake: Run) -> None:
    answer = snakemake("-n", "--cores", "2", "demo")
    assert answer.returncode == 0
    expected = dict.fromkeys(["rig", "demo_capture", *STAGES, "demo"], 1)
    assert _jobs(answer.stdout + answer.stderr) == expected | {"total": 11}


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
    assert "gres=gpu:1" in text.split("rule refine:")[1].split("rule train:")[0]
    assert "mem_mb=8000" in train
    assert "Warning" not in text


def test_no_profile_changes_what_is_trained(snakemake: Run, project: Path) -> None:
    """`auto` is resolved in the job: whoever plans it, the stamp is the same."""
    (project / "captures/subject_042.mp4").touch()
    here = _made(snakemake("-n", "--cores", "2", "subject_042"))
    assert _made(snakemake("--profile", "slurm", "-n", "subject_042")) == here


def test_subjects_side_by_side_share_the_cores(snakemake: Run, project: Path) -> None:
    for name in ("one", "two", "three"):
        (project / f"captures/{name}.mp4").touch()
    for targets, expected in (([], "2"), (["one"], "8"), (["one", "two"], "4")):
        planned = snakemake("-n", "--cores", "8", *targets).stdout
        assert set(re.findall(r"threads: (\d+)", planned)) == {expected}
    for name in ("two", "three"):
        (project / f"captures/{name}.mp4").unlink()
    alone = snakemake("-n", "--cores", "8").stdout  # the demo is not asked for
    assert set(re.findall(r"threads: (\d+)", alone)) == {"8"}


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
    """Nothing else is there to be made; beside a good capture it is only left out."""
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
    (project / "results/rigs").mkdir(parents=True)
    (project / "results/rigs/anny.npz").touch()
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


def test_external_tracks_by_path_count(snakemake: Run, project: Path) -> None:
    """What the track is made from follows their files; the stages before do not."""
    (project / "captures/anna.mp4").touch()
    (project / "tracks/anna").mkdir(parents=True)
    (project / "tracks/anna/params.npz").touch()
    config = project / "config/config.yaml"
    config.write_text(config.read_text().replace("external: auto", "external: tracks/{subject}"))
    first = _made(snakemake("-n", "--cores", "1", "anna"))
    (project / "tracks/anna/params.npz").write_text("x")
    then = _made(snakemake("-n", "--cores", "1", "anna"))
    assert [stage for stage in STAGES if first[stage] != then[stage]] == STAGES[2:]


def test_flame_needs_the_users_file(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    result = snakemake("-n", "anna", "--config", "rig=flame")
    assert result.returncode != 0
    assert "error: config/config.yaml: flame is None, which is no file" in result.stderr
    (project / "flame 2023.pkl").touch()
    result = snakemake("-n", "-p", "anna", "--config", "rig=flame", "flame=flame 2023.pkl")
    assert result.returncode == 0, result.stderr
    assert "--name flame --flame 'flame 2023.pkl' --out results/rigs/flame.npz" in result.stdout


@pytest.mark.fault("H10")
@pytest.mark.fault("L5")
def test_odd_captures_are_named_and_the_others_planned(snakemake: Run, project: Path) -> None:
    captures = project / "captures"
    odd = ["anna.srt", "anna.json", "anna (1).mp4", "x.mp4.part", "notes.txt", "Thumbs.db",
           "a{b}.mp4", "train.mp4", "all.mp4", "bert.mp4", "m" + "a" * 20 + ".mp4"]  # fmt: skip
    for name in ["anna.mp4", "bert.mov", *odd]:
        (captures / name).touch()
    (captures / "carl").mkdir()
    (captures / "carl/{talk} 1.mp4").touch()
    (captures / "broken.mp4").symlink_to("nowhere")
    (captures / "loop").symlink_to("loop")
    answer = snakemake("-n", "--cores", "1", "--keep-going")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    jobs = _jobs(answer.stdout + answer.stderr)
    assert (jobs["train"], jobs["total"]) == (2, 2 * 8 + 2)
    warnings = _lines(answer, "warning")
    assert len(warnings) == len(odd) + 2
    assert all(line.endswith("it is left out") for line in warnings)
    for target in ("bert", "train.mp4", "m" + "a" * 20):
        answer = snakemake("-n", "--cores", "1", target)
        assert answer.returncode == 2
        assert len(_lines(answer, "error")) == 1
        assert "Traceback" not in answer.stdout + answer.stderr


@pytest.mark.fault("H10")
def test_captures_may_be_a_file(snakemake: Run, project: Path) -> None:
    (project / "captures").rmdir()
    (project / "captures").touch()
    answer = snakemake("-n", "--cores", "1", "demo")
    assert answer.returncode == 0
    assert len(_lines(answer, "warning")) == 1
    answer = snakemake("-n", "--cores", "1")
    assert answer.returncode == 2
    assert _lines(answer, "error") == ["error: captures cannot be listed (Not a directory)"]


@pytest.mark.fault("M1")
def test_results_may_not_be_a_file(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    (project / "results").touch()
    answer = snakemake("--cores", "1", "anna")
    assert answer.returncode == 2
    assert _lines(answer, "error") == ["error: results is no folder: move it away"]
    assert "Traceback" not in answer.stdout + answer.stderr


@pytest.mark.fault("M7")
@pytest.mark.fault("M12")
@pytest.mark.fault("M13")
@pytest.mark.parametrize(
    ("name", "text", "arguments", "message"),
    [
        ("config.yaml", "", [], "config/config.yaml is empty"),
        ("config.yaml", "rig: any", [], "rig is 'any': did you mean 'anny'?"),
        ("config.yaml", None, ["--config", "train={presset: fast}"],
         "--config or --configfile: train.presset is no setting: did you mean 'preset'?"),
        ("config.yaml", None, ["--configfile", "other.yaml"],
         "--config or --configfile: trian is no setting"),
        ("subjects.tsv", "subject\tcaptur\n", [], "expected the columns subject, capture"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_configuration_is_one_line_at_the_dry_run(
    snakemake: Run, project: Path, name: str, text: str | None, arguments: list, message: str
) -> None:
    (project / "captures/anna.mp4").touch()
    (project / "other.yaml").write_text("trian: {seed: 1}\n")
    if text is not None:
        (project / "config" / name).write_text(text)
    answer = snakemake("-n", "--cores", "1", *arguments)
    assert answer.returncode == 2, answer.stdout + answer.stderr
    errors = _lines(answer, "error")
    assert len(errors) == 1
    assert message in errors[0]
    assert len((answer.stdout + answer.stderr).splitlines()) < 6


@pytest.mark.fault("M7")
@pytest.mark.fault("4.1")
def test_one_subject_may_have_its_own_settings(snakemake: Run, project: Path) -> None:
    (project / "config/subjects.tsv").unlink()
    own = project / "config/subjects"
    own.mkdir(exist_ok=True)
    for name in ("anna", "bert", "carl"):
        (project / f"captures/{name}.mp4").touch()
    (own / "anna.yaml").write_text("pack: {gate: warn}\ntrain: {seed: 7}\n")
    (own / "carl.yaml").write_text("pack: {gat: warn}\n")
    (own / "anan.yaml").write_text("train: {seed: 7}\n")
    answer = snakemake("-n", "-p", "--cores", "1")
    assert answer.returncode == 0
    assert answer.stdout.count('"gate": "warn"') == answer.stdout.count('"seed": 7') == 1
    assert _jobs(answer.stdout)["train"] == 2
    warnings = _lines(answer, "warning")
    assert warnings[0].startswith("warning: config/subjects/carl.yaml: pack.gat is no setting")
    assert warnings[1:] == ["warning: config/subjects/anan.yaml is of no subject; it is ignored"]
    answer = snakemake("-n", "--cores", "1", "carl")
    assert answer.returncode == 2
    assert len(_lines(answer, "error")) == 1


def pretend(project: Path, answer: CompletedProcess[str]) -> None:
    """Leave what the planned stages of anna would leave."""
    from pipeline.graph import plan

    home = project / "results/anna"
    for stage, made_from in _made(answer).items():
        for name in plan.FILES[stage]:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).touch()
        (home / "made").mkdir(exist_ok=True)
        (home / f"made/{stage}-{made_from}.json").write_text(made_from)
    (project / "results/rigs").mkdir(exist_ok=True)
    (project / "results/rigs/anny.npz").touch()


@pytest.mark.fault("H1")
@pytest.mark.fault("H11")
@pytest.mark.fault("4.1")
@pytest.mark.fault("4.2")
def test_what_is_redone(snakemake: Run, project: Path) -> None:
    talk = project / "elsewhere/talk"
    talk.mkdir(parents=True)
    (talk / "cam_0.mp4").write_bytes(b"first")
    (project / "captures/anna").mkdir()
    (project / "captures/anna/talk").symlink_to(talk)
    pretend(project, snakemake("-n", "--cores", "1", "anna"))

    def planned(*arguments: str) -> list[str]:
        answer = snakemake("-n", "--cores", "1", "anna", *arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return [stage for stage in STAGES if _jobs(answer.stdout + answer.stderr).get(stage)]

    assert planned() == []
    # Clutter, new times in any order, and settings that change nothing in what is written.
    (project / "captures/anna/.DS_Store").touch()
    (talk / "README").touch()
    for number, path in enumerate(sorted((project / "results").rglob("*"), reverse=True)):
        os.utime(path, (2e9 - number, 2e9 - number))
    os.utime(talk / "cam_0.mp4")
    assert planned("--config", "track={overlay: 320}", "pack={gate: warn}") == []
    # Other settings, though all results are dated in the future; and a file that is gone.
    assert planned("--config", "refine={enabled: false}") == STAGES[4:]
    assert planned("--config", "train={seed: 5}") == STAGES[5:]
    (project / "results/anna/avatar/avatar.safetensors").unlink()
    assert planned() == STAGES[5:]
    (project / "results/anna/dataset.h5").unlink()  # training reads it
    assert planned() == STAGES[3:]
    # An older file of the same size behind a linked folder.
    (talk / "other").write_bytes(b"other")
    os.utime(talk / "other", (1e9, 1e9))
    os.replace(talk / "other", talk / "cam_0.mp4")
    assert planned() == STAGES
