"""Outcome of ingest for every hard input: python -m benchmarks.hard_inputs

Each case of `tests/hard_cases/` runs in a process of its own with a time limit, forked from this
one, which has imported everything. Exit code 1 where a case has another outcome than expected,
prints a traceback, hangs, or writes anything outside its results folder.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2

from avatar.base import cli
from benchmarks import report
from pipeline.detect.face_mesh import quiet_stderr
from pipeline.ingest.__main__ import main as main_of_ingest
from tests.hard_cases import CASES, Case
from tests.media_files import CLIPS

SECONDS = 300
FORK = multiprocessing.get_context("fork")
# Of linux/capability.h and linux/prctl.h: what lets root read what is forbidden.
CAPABILITY_VERSION, DAC_OVERRIDE, DAC_READ_SEARCH, PR_CAPBSET_DROP = 0x20080522, 1, 2, 24
SOURCES = ["pipeline/ingest", "pipeline/media", "pipeline/capture", "tests/hard_cases"]


@dataclass(frozen=True)
class Ending:
    """How a case ended: outcome, message, and what is wrong with that (nothing: '')."""

    outcome: str
    message: str
    fault: str


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Everything in a folder with size and time, links not followed."""
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return found


def run(case: Case) -> Ending:
    """Build a case and run ingest on it."""
    if not CLIPS.exists() and case.name.endswith((".mp3", ".mp4", ".mkv", ".yuv", ".mp4)")):
        return Ending("skipped", "the real clips are not here", "")
    with tempfile.TemporaryDirectory(prefix="hard-") as top:
        home, results = Path(top) / "home", Path(top) / "results"
        home.mkdir()
        results.mkdir()
        capture = case.build(home)
        before = listing(home)
        arguments = ["--subject", "s", "--capture", str(capture), "--results", str(results)]
        arguments += ["--settings", json.dumps(case.settings)]
        output = Path(top) / "output"
        child = FORK.Process(target=_child, args=(arguments, home, output, case.plain_user))
        child.start()
        child.join(SECONDS)
        if child.is_alive():
            child.kill()
            return Ending("hang", f"not ended after {SECONDS} s", "hangs")
        assert child.exitcode is not None
        ending = _ending(case, child.exitcode, output.read_text(), results)
        fault = ending.fault or ("wrote outside results" if listing(home) != before else "")
        message = ending.message.replace(f"{home}/", "").replace("|", "\\|")
        return Ending(ending.outcome, message, fault)


def _child(arguments: list[str], home: Path, output: Path, plain_user: bool) -> None:
    """Run ingest in `home`, its output redirected; root may give up reading everything."""
    descriptor = os.open(output, os.O_CREAT | os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(home)
    if plain_user and os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):  # workers cannot regain them
            assert libc.prctl(PR_CAPBSET_DROP, capability) == 0
        header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
        assert libc.capset(header, none) == 0
    sys.exit(main_of_ingest(arguments))


def _ending(case: Case, code: int, output: str, results: Path) -> Ending:
    if "Traceback" in output:
        return Ending("traceback", output.strip().splitlines()[-1], "prints a traceback")
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    if code == 2 and len(errors) == 1:
        outcome, message = "error", errors[0].removeprefix("error: ")
        leftover = (results / "s/ingest/frames.h5").exists()
        fault = "frames were left behind" if leftover else ""
    elif code == 0:
        quality = json.loads((results / "s/ingest/quality.json").read_text())
        outcome, message = quality["status"], "; ".join(quality["messages"])
        fault = "" if (results / "s/ingest/frames.h5").exists() else "no frames"
    else:
        return Ending("crash", f"exit code {code}", "unexpected exit code")
    if outcome != case.outcome or case.message not in message:
        fault = f"expected {case.outcome}: {case.message}"
    return Ending(outcome, message, fault)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    report.add_option(parser)
    args = parser.parse_args()
    cv2.setNumThreads(1)  # its threads would be missing after a fork, and waited for
    with quiet_stderr():
        import mediapipe.python.solutions.face_mesh  # noqa: F401  (once, not in every child)
    rows = []
    outcomes: Counter[str] = Counter()
    faults = 0
    for case in cli.progress(CASES, "cases"):
        ending = run(case)
        fault = f" **{ending.fault}**" if ending.fault else ""
        rows.append([case.name, ending.outcome, ending.message + fault])
        outcomes[ending.outcome] += 1
        faults += bool(fault)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    body = report.table(["input", "outcome", "message"], rows)
    body += f"\n\n{len(CASES)} cases: {counts}; {faults} with an unexpected outcome."
    report.publish("docs/hard_inputs.md", "hard_inputs", body, SOURCES, args.write)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
