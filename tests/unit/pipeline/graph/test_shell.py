import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.graph.shell import prefix

# A stage that writes its checkpoint when it is asked to stop, and then reports it.
STAGE = """
import signal, sys, time
def stop(number, frame):
    time.sleep(0.3)
    print('error: stopped, a checkpoint is there', file=sys.stderr, flush=True)
    sys.exit(75)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, stop)
print('started', flush=True)
time.sleep(60)
"""


@pytest.mark.fault("4.9")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_line_of_an_interrupted_stage_reaches_terminal_and_log(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    command = prefix(sys.executable).format() + '"$PYTHON" stage.py 2>&1 | tee a.log'
    with subprocess.Popen(
        ["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as shell:  # fmt: skip
        assert shell.stdout is not None
        assert shell.stdout.readline() == "started\n"
        os.killpg(shell.pid, number)
        said = shell.stdout.read()
    assert said == "error: stopped, a checkpoint is there\n"
    assert (tmp_path / "a.log").read_text() == "started\n" + said


def test_the_exit_code_is_the_stages_and_odd_paths_are_quoted(tmp_path: Path) -> None:
    python = tmp_path / "it's {odd}/python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    command = prefix(str(python)).replace("{{", "{").replace("}}", "}")
    command += '"$PYTHON" -c "import sys; sys.exit(75)" | tee a.log'
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, check=False)
    assert done.returncode == 75


def test_each_slurm_job_has_a_log_of_its_own(tmp_path: Path) -> None:
    """The one before may still run; Snakemake removes the declared log before the next."""
    command = prefix(sys.executable).format() + """printf '%s\\n' $WORDS | tee 'it is.log'"""
    for number in ("7", "8"):
        (tmp_path / "it is.log").unlink(missing_ok=True)
        environment = os.environ | {"SLURM_JOB_ID": number, "WORDS": f"of {number}"}
        subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "it is.7.log").read_text() == "of\n7\n"
    assert (tmp_path / "it is.log").readlink() == Path("it is.8.log")
    assert (tmp_path / "it is.log").read_text() == "of\n8\n"


def test_a_container_has_its_own_python(tmp_path: Path) -> None:
    command = prefix("/home/it's/python").format() + 'echo "$PYTHON"'
    for environment, expected in (({}, "/home/it's/python"), ({"HEADSPLAT_PYTHON": "/p"}, "/p")):
        said = subprocess.check_output(["/bin/bash", "-c", command], env=environment, text=True)
        assert said == f"{expected}\n"
