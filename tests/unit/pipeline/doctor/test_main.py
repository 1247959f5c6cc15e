import os
import shutil
from pathlib import Path

import pytest

from pipeline.doctor.__main__ import examine, main


def test_this_machine_can_run_what_its_tests_run(tmp_path: Path) -> None:
    findings = {finding.what: finding for finding in examine(tmp_path / "results")}
    assert {"python", "torch", "gsplat", "numba cache", "disk", "cores"} <= findings.keys()
    for name in ("libraries", "mediapipe import", "rig"):
        assert findings[name].status == "ok", name
    assert findings["cores"].detail.startswith(f"{len(os.sched_getaffinity(0))} of ")
    assert not (tmp_path / "results").exists()


def test_the_command_fails_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--results", str(tmp_path)]
    assert main(arguments) == 0
    assert "ok    libraries" in capsys.readouterr().out
    (tmp_path / "which").symlink_to(shutil.which("which") or "which")
    monkeypatch.setenv("PATH", str(tmp_path))  # without Slurm
    assert main([*arguments, "--slurm"]) == 2
    told = capsys.readouterr()
    assert "fail  slurm commands" in told.out
    assert told.err.startswith("error: 1 of ")
    assert told.err.endswith("checks failed: slurm commands: see above\n")
