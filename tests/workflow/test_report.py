"""What `snakemake --report` carries of finished subjects."""

from pathlib import Path

from tests.workflow.conftest import Run
from tests.workflow.test_graph import pretend

PAGES = {
    "anna/report.html": "The avatar seen from side to side",
    "index.html": "also those that failed",
    "tables/metrics.html": "best values are bold",
    "tables/metrics_regions.html": "Metrics of every region",
}


def test_the_report_of_a_batch_has_its_pages_with_captions(snakemake: Run, project: Path) -> None:
    (project / "captures/anna.mp4").touch()
    pretend(project, snakemake("-n", "--cores", "1", "anna"))
    for name in PAGES:
        path = project / "results" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<!doctype html><title>{name}</title>")
    planned = snakemake("-n", "--cores", "1")
    assert "Nothing to be done" in planned.stdout + planned.stderr
    answer = snakemake("--cores", "1", "--report", "batch.html")
    assert answer.returncode == 0, answer.stderr
    html = (project / "batch.html").read_text()
    for name, caption in PAGES.items():
        assert f'"results/{name}"' in html, name
        assert caption in html
    assert "turns video of a head" in html
