"""Several subjects, one of them bad."""

import shutil
from pathlib import Path

import pandas as pd

from tests.cluster.conftest import SUBJECT, Start
from tests.cluster.toy_slurm import ToySlurm


def test_the_good_ones_end_beside_a_bad_one(slurm: ToySlurm, packed: Path, start: Start) -> None:
    (packed / "captures/bad.mp4").write_text("this is no video")
    shutil.copytree(packed / f"captures/{SUBJECT}", packed / "captures/other")
    run = start(packed, "--profile", "slurm", "--keep-going")
    assert run.wait() == 1
    assert run.last_line.startswith("bad/ingest: ")
    states = [job["state"] for job in slurm.of_rule("ingest")]
    assert sorted(states) == ["COMPLETED", "FAILED"], "a mistake is not tried again"
    table = pd.read_csv(packed / "results/tables/metrics.csv")
    assert set(table.subject) == {SUBJECT, "other"}
    page = (packed / "results/tables/metrics.md").read_text()
    assert "bad" in page
