"""The workflow's copied project, for tests that are too slow for `make test`."""

from tests.workflow.conftest import project, snakemake

__all__ = ["project", "snakemake"]
