import pytest

from benchmarks import stages

LOG = """Select jobs to execute...

[Sat Nov 28 09:17:57 2026]
rule rig:
    output: results/rigs/anny.npz
    jobid: 2
[Sat Nov 28 09:18:50 2026]
Finished jobid: 2 (Rule: rig)
[Sat Nov 28 09:18:51 2026]
localrule demo:
    jobid: 0
[Sat Nov 28 09:18:52 2026]
rule ingest:
    jobid: 4
    wildcards: subject=demo, made_from=081d1d70bc4a
[Sat Nov 28 09:18:57 2026]
Finished jobid: 4 (Rule: ingest)
[Sat Nov 28 09:18:58 2026]
Finished jobid: 0 (Rule: demo)
"""


def test_seconds_of_finished_jobs_by_hand() -> None:
    found = stages.jobs(LOG)
    assert [(job.rule, job.subject, job.seconds) for job in found] == [
        ("rig", "", 53), ("ingest", "demo", 5), ("demo", "", 7)
    ]  # fmt: skip
    assert stages.table(found).splitlines()[-1].split("|")[2].strip() == "61"


def test_a_log_without_jobs() -> None:
    assert stages.jobs("Nothing to be done\n") == []
    with pytest.raises(ValueError, match="empty"):
        stages.table([])
