"""Run ingest on every hard input and print the table of docs/hard_inputs.md.

python -m benchmarks.hard_inputs > docs/hard_inputs.md

Each case runs in a process of its own with a time limit, forked from this one, which has imported
everything. Exit code 1 where a case ends otherwise
than it should, prints a traceback, hangs, or writes anything outside its results folder.
"""

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
from pipeline.detect.landmarks import quiet_stderr
from pipeline.ingest.run import main as main_of_ingest
from tests.hard_cases import CASES, Case
from tests.media_files import CLIPS

SECONDS = 300
FORK = multiprocessing.get_context("fork")
# Of linux/capability.h and linux/prctl.h: what lets root read what is forbidden.
CAPABILITY_VERSION, DAC_OVERRIDE, DAC_READ_SEARCH, PR_CAPBSET_DROP = 0x20080522, 1, 2, 24

INTRODUCTION = """# Hard inputs

Made by `python -m benchmarks.hard_inputs`. Every case is given to ingest;
`error` is one line and exit code 2, `warn` and `pass` are the status in `quality.json`. None may
end in a traceback, hang, or write outside its results folder. The first twelve are real files of
others, the rest is made by `tests/hard_cases.py`.
"""


@dataclass(frozen=True)
class Ending:
    """How a case ended: outcome, what was said, and what is wrong with that (nothing: '')."""

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
    """Build a case, run ingest on it, and see how it ends."""
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
        said = Path(top) / "said"
        child = FORK.Process(target=_child, args=(arguments, home, said, case.plain_user))
        child.start()
        child.join(SECONDS)
        if child.is_alive():
            child.kill()
            return Ending("hang", f"not ended after {SECONDS} s", "it hangs")
        assert child.exitcode is not None
        ending = _ending(case, child.exitcode, said.read_text(), results)
        fault = ending.fault or ("it wrote outside results" if listing(home) != before else "")
        message = ending.message.replace(f"{home}/", "").replace("|", "\\|")
        return Ending(ending.outcome, message, fault)


def _child(arguments: list[str], home: Path, said: Path, plain_user: bool) -> None:
    """Run ingest in `home`, what it prints goes to `said`; root may give up reading everything."""
    output = os.open(said, os.O_CREAT | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(home)
    if plain_user and os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):  # the worker shall not get them again
            assert libc.prctl(PR_CAPBSET_DROP, capability) == 0
        header, none = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
        assert libc.capset(header, none) == 0
    sys.exit(main_of_ingest(arguments))


def _ending(case: Case, code: int, said: str, results: Path) -> Ending:
    if "Traceback" in said:
        return Ending("traceback", said.strip().splitlines()[-1], "it prints a traceback")
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if code == 2 and len(errors) == 1:
        outcome, message = "error", errors[0].removeprefix("error: ")
        leftover = (results / "s/ingest/frames.h5").exists()
        fault = "frames were left behind" if leftover else ""
    elif code == 0:
        quality = json.loads((results / "s/ingest/quality.json").read_text())
        outcome, message = quality["status"], "; ".join(quality["messages"])
        fault = "" if (results / "s/ingest/frames.h5").exists() else "no frames"
    else:
        return Ending("crash", f"exit code {code}", "it ends otherwise")
    if outcome != case.outcome or case.message not in message:
        fault = f"expected {case.outcome}: {case.message}"
    return Ending(outcome, message, fault)


def main() -> int:
    cv2.setNumThreads(1)  # its threads would not be there after a fork, and be waited for
    with quiet_stderr():
        import mediapipe.python.solutions.face_mesh  # noqa: F401  (once, not in every child)
    print(INTRODUCTION)
    print("| input | outcome | message |\n|---|---|---|")
    outcomes: Counter[str] = Counter()
    faults = 0
    for case in cli.progress(CASES, "cases"):
        ending = run(case)
        fault = f" **{ending.fault}**" if ending.fault else ""
        print(f"| {case.name} | {ending.outcome} | {ending.message}{fault} |", flush=True)
        outcomes[ending.outcome] += 1
        faults += bool(fault)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"\n{len(CASES)} cases: {counts}; {faults} ended otherwise than they should.")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
