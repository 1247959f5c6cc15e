"""Outcome of the test of every known fault: python -m benchmarks.faults [--write]

Runs the tests marked `@pytest.mark.fault(id)`, here and in tests/faults/, and lists for each id its
tests and their outcomes. Ids without a test are listed too. Exit code 1 where an id has no test or
a test failed.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks import report

IDS = [
    *(f"H{n}" for n in range(1, 17)), *(f"M{n}" for n in range(1, 17)),
    *(f"L{n}" for n in range(1, 10)), *(f"4.{n}" for n in range(1, 10)),
]  # fmt: skip
SOURCES = ["avatar", "pipeline", "workflow", "tests", "Snakefile"]


class Collector:
    """A pytest plugin: marker ids, name and outcome of each test that runs."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}
        self.outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = [str(mark.args[0]) for mark in item.iter_markers("fault") if mark.args]
            if marks:
                self.ids[item.nodeid] = marks

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of set-up, call and tear-down."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes.setdefault(report.nodeid, report.outcome)
            if report.failed:
                self.outcomes[report.nodeid] = "failed"

    def by_id(self) -> dict[str, dict[str, list[str]]]:
        """For each id its tests, parameters left out, and the outcomes of all their cases."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for node, ids in self.ids.items():
            for fault in ids:
                found[fault][node.partition("[")[0]].append(self.outcomes.get(node, "not run"))
        return found


def table(found: dict[str, dict[str, list[str]]]) -> str:
    """The table, a row per id and test."""
    rows = []
    for fault in [*IDS, *sorted(found.keys() - set(IDS))]:
        tests = found.get(fault)
        if not tests:
            rows.append([fault, "**no test**", ""])
            continue
        for node, outcomes in tests.items():
            path, _, name = node.partition("::")
            counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
            told = ", ".join(f"{n} {what}" if n > 1 else what for what, n in counts.items())
            rows.append([fault, f"`{Path(path)}`: `{name.replace('::', '.')}`", told])
    return report.table(["id", "test", "outcome"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=["tests"], help="tests to collect from")
    report.add_option(parser)
    args = parser.parse_args()
    collector = Collector()
    pytest.main(["-q", "-n", "0", "-m", "fault", "--durations=0", *args.paths], [collector])
    found = collector.by_id()
    missing = [fault for fault in IDS if fault not in found]
    failed = [node for node, outcome in collector.outcomes.items() if outcome == "failed"]
    body = table(found)
    body += f"\n\n{len(IDS)} ids, {len(missing)} without a test, {len(failed)} failed tests."
    report.publish("docs/hard_inputs.md", "faults", body, SOURCES, args.write)
    return int(bool(missing or failed))


if __name__ == "__main__":
    sys.exit(main())
