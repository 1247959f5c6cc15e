"""A clone that cannot be written to, and a home folder that cannot either."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.subject import Subject

ROOT = Path(__file__).parents[2]


@pytest.mark.fault("M2")
def test_pack_works_in_a_read_only_clone_without_a_home(tmp_path: Path) -> None:
    subject, clone = Subject(tmp_path), tmp_path / "clone"
    clone.mkdir()
    for command in (["--bind", str(ROOT), str(clone)], ["-o", "remount,bind,ro", str(clone)]):
        done = subprocess.run(["mount", *command], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "pack", "--subject", "ann", "--results",
             str(subject.home.parent), "--rig", str(subject.rig_path)],
            cwd=clone, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": "/proc/nowhere", "PYTHONPATH": str(clone),
                 "TMPDIR": str(tmp_path)},
        )  # fmt: skip
    finally:
        subprocess.run(["umount", "-l", str(clone)], check=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("WARNING") == 1
    assert "compiled code is kept in" in done.stderr
    assert list(tmp_path.glob("headsplat-cache-*/*"))
