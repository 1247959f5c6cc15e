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

# What each fault was: H high, M medium, L low severity; 4.x found by reading the code.
FAULTS = {
    "H1": "a capture replaced by an older file is not noticed",
    "H2": "disk full or file size limit: crash, and the temporary file stays",
    "H3": "K of another image size, wrong focal length: reported as wrong units, or not at all",
    "H4": "fisheye and other camera models of transforms.json: terms dropped",
    "H5": "alpha of images ignored, hidden colours used",
    "H6": "version of the NeRSemble benchmark's tracks",
    "H7": "a small face in a large frame is not found",
    "H8": "a dataset that is open in another program is called damaged",
    "H9": "file locks that the file system does not support: traceback",
    "H10": "one odd file in captures/ stops all subjects",
    "H11": "system files or copied times in a capture repeat all stages",
    "H12": "damaged or exchanged files of an avatar: crash, or wrong figures",
    "H13": "names in a store lead outside the export folder",
    "H14": "a native crash of a detection worker ends the stage",
    "H15": "a covered lower face turns the head pose, status pass",
    "H16": "a walking head gets few pixels, status pass",
    "M1": "read-only results, odd locks, memory limit: traceback",
    "M2": "no folder for Numba's cache",
    "M3": "16-bit grey images are read as white",
    "M4": "skew in K is dropped",
    "M5": "a cut to another person is not reported",
    "M6": "duplicate presentation times",
    "M7": "subjects.tsv in other encodings, damaged, missing",
    "M8": "a person missing at the end: no test frames, noticed late",
    "M9": "drift of exposure and white balance is not reported",
    "M10": "a calibrated camera slightly over the size is halved",
    "M11": "settings out of range",
    "M12": "config.yaml damaged, misspelt, or made to exhaust memory",
    "M13": "preset, rig or overrides misspelt: noticed late",
    "M14": "npz and HDF5 files made with intent",
    "M15": "a FLAME pickle that exhausts memory",
    "M16": "COLMAP without points, absurd numbers in calibrations",
    "L1": "damaged or deeply nested small JSON files",
    "L2": "workers outlive a killed tracker",
    "L3": "misleading messages for odd videos",
    "L4": "too few or identical frames pass every gate",
    "L5": "names that Snakemake takes for periodic",
    "L6": "control characters and markup from names reach tables and terminal",
    "L7": "reading a named pipe never ends",
    "L8": "a damaged bit of metadata that verify does not report",
    "L9": "a PLY file that is mistaken for a splat scene",
    "4.1": "settings without effect on an output repeat its stage",
    "4.2": "a rerun deletes the former avatar; tables show one that no longer exists",
    "4.3": "rig_sha256 does not cover all tensors",
    "4.4": "rotation order of the PLY, flame_param.npz",
    "4.5": "preset paper differs from the authors' code",
    "4.6": "tables do not name overrides, background and versions",
    "4.7": "the tracker sees held-out frames",
    "4.8": "a second person's shoulder in the alpha",
    "4.9": "console output: lost lines, warnings of MediaPipe, failed subjects",
}
SOURCES = ["avatar", "pipeline", "workflow", "tests"]


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
    for fault in [*FAULTS, *sorted(found.keys() - FAULTS.keys())]:
        tests = found.get(fault, {})
        if not tests:
            rows.append([fault, FAULTS[fault], "**no test**", ""])
        for node, outcomes in tests.items():
            path, _, name = node.partition("::")
            counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
            told = ", ".join(f"{n} {what}" if n > 1 else what for what, n in counts.items())
            test = f"`{Path(path)}`: `{name.replace('::', '.')}`"
            rows.append([fault, FAULTS.get(fault, ""), test, told])
    return report.table(["id", "fault", "test", "outcome"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=["tests"], help="tests to collect from")
    report.add_option(parser)
    args = parser.parse_args()
    collector = Collector()
    pytest.main(["-q", "-n", "0", "-m", "fault", "--durations=0", *args.paths], [collector])
    found = collector.by_id()
    missing = [fault for fault in FAULTS if fault not in found]
    failed = [node for node, outcome in collector.outcomes.items() if outcome == "failed"]
    body = table(found)
    body += f"\n\n{len(FAULTS)} ids, {len(missing)} without a test, {len(failed)} failed tests."
    report.publish("docs/hard_inputs.md", "faults", body, SOURCES, args.write)
    return int(bool(missing or failed))


if __name__ == "__main__":
    sys.exit(main())
