import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import avatar
from pipeline import cli

ROOT = Path(__file__).parents[3]
HEAVY = "torch numba mediapipe cv2 scipy av matplotlib viser websockets"
STAGES = ("ingest", "matte", "track", "pack", "refine", "train", "evaluate")


def test_the_console_script_is_this_main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"headsplat": "pipeline.cli:main"}
    assert project["project"]["version"] == avatar.__version__
    for package, names in project["tool"]["setuptools"]["package-data"].items():
        assert all(list((ROOT / package).glob(name)) for name in names)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_verb_is_the_main_of_its_module(verb: str) -> None:
    module = import_module(cli.VERBS[verb][0])
    assert cli.find(verb) is module.main


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for verb, (_, line) in cli.VERBS.items():
        assert f"  {verb} " in text
        assert line in text


@pytest.mark.parametrize("argument", [[], ["trian"], ["--vebose"], ["ingest", "--subject"]])
def test_a_mistake_is_one_line_and_exit_2(
    argument: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argument)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"headsplat {avatar.__version__}\n"


def test_help_of_the_stages_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from pipeline import cli\n"
        f"for verb in ['', *{(*STAGES, 'rig', 'tables', 'export', 'dataset', 'view')}]:\n"
        "    try: cli.main([verb, '--help'] if verb else ['--help'])\n"
        "    except SystemExit as end: assert end.code == 0, verb\n"
        f"    found = [name for name in '{HEAVY}'.split() if name in sys.modules]\n"
        "    assert not found, (verb, found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_a_wrong_setting_stops_a_stage_before_it_loads_anything(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = ["--capture", "x"] if stage == "ingest" else []
    extra = ["--rig", "x"] if stage not in ("ingest", "matte") else extra
    arguments = ["--subject", "anna", "--results", str(tmp_path), *extra, "--set", "wokers=3"]
    assert cli.main([stage, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: settings: {stage}.wokers is no setting")
