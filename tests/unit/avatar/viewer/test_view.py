"""The command as its own process: it serves, and Ctrl-C ends it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import avatar
from avatar.base.errors import UserError
from avatar.rig import HeadRig
from avatar.viewer.view import view
from tests.unit.avatar.animate.test_loaded import write_subject
from tests.viewers import Client, front_eye

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(rig: HeadRig, tmp_path: Path, signum: int) -> None:
    home = write_subject(tmp_path, rig)
    process = subprocess.Popen(
        [sys.executable, "-m", "avatar.viewer", "anna", "--results", tmp_path, "--port", "0"],
        cwd=ROOT, env=os.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    address = re.fullmatch(r"http://127\.0\.0\.1:(\d+) \(Ctrl-C ends\)\n", line)
    assert address, line
    client = Client(int(address[1]))
    client.look(front_eye(avatar.load(home), (64, 48)))
    assert client.picture().shape == (48, 64, 3)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert "error" not in err


def test_what_is_not_there_is_named(rig: HeadRig, tmp_path: Path) -> None:
    home = write_subject(tmp_path, rig)
    (home.parent / "bella").mkdir()
    for name in ("bella", "nobody"):
        with pytest.raises(UserError, match=rf"{name}.*train the subject first"):
            view(name, tmp_path, 0)
    with pytest.raises(UserError, match="rename it"):
        view("../anna", tmp_path, 0)
