"""The end of a job is seen soon."""

import re
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.graph import make_project, replace_stages
from tests.cluster.conftest import Start
from tests.cluster.toy_slurm import ToySlurm

WAIT = 10.0  # seconds-between-status-checks of the profile


@pytest.mark.parametrize("cluster", ["cgroup"], indirect=True)
def test_a_job_that_ran_for_long_is_seen_to_end(
    slurm: ToySlurm, tmp_path: Path, start: Start
) -> None:
    project = make_project(tmp_path, 1)
    (project / "slurm").symlink_to("profiles/slurm")
    replace_stages(project, '[ -z "$made" ] || sleep 25')
    run = start(project, "--profile", "slurm", "subject_0000", "--until", "ingest")
    assert run.wait() == 0, run.text
    (seen,) = re.findall(r"\[(.+)\]\nFinished jobid", run.text)
    (job,) = slurm.jobs()
    about = slurm.command(
        "squeue", "--states=all", "--noheader", "--format=%e", f"--jobs={job['job_id']}"
    )
    late = datetime.strptime(seen, "%a %b %d %H:%M:%S %Y") - datetime.fromisoformat(about.strip())
    assert late.total_seconds() < WAIT + 5
