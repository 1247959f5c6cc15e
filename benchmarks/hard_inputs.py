"""Run ingest on every hard input and print the table of docs/hard_inputs.md.

python -m benchmarks.hard_inputs > docs/hard_inputs.md

Each case runs in a process of its own with a time limit. Exit code 1 where a case ends otherwise
than it should, prints a traceback, hangs, or writes anything outside its results folder.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from avatar import cli
from tests.hard_cases import CASES, Case
from tests.media_files import CLIPS

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300
CAPABILITIES = ("bounding-set", "inh-caps")

INTRODUCTION = """# Hard inputs

Made by `python -m benchmarks.hard_inputs`. Every case is given to `python -m pipeline.ingest`;
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
    prefix = []
    if case.plain_user and os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            return Ending("skipped", "root reads everything, and setpriv is not here", "")
        prefix = ["setpriv", *(f"--{caps}=-dac_override,-dac_read_search" for caps in CAPABILITIES)]
    with tempfile.TemporaryDirectory(prefix="hard-") as top:
        home, results = Path(top) / "home", Path(top) / "results"
        home.mkdir()
        results.mkdir()
        capture = case.build(home)
        before = listing(home)
        arguments = ["--subject", "s", "--capture", str(capture), "--results", str(results)]
        settings = ["--settings", json.dumps(case.settings)]
        try:
            done = subprocess.run(
                [*prefix, sys.executable, "-m", "pipeline.ingest", *arguments, *settings],
                cwd=home,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ending("hang", f"not ended after {SECONDS} s", "it hangs")
        ending = _ending(case, done, results)
        fault = ending.fault or ("it wrote outside results" if listing(home) != before else "")
        message = ending.message.replace(f"{home}/", "").replace("|", "\\|")
        return Ending(ending.outcome, message, fault)


def _ending(case: Case, done: subprocess.CompletedProcess[str], results: Path) -> Ending:
    if "Traceback" in done.stderr:
        return Ending("traceback", done.stderr.strip().splitlines()[-1], "it prints a traceback")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if done.returncode == 2 and len(errors) == 1:
        outcome, message = "error", errors[0].removeprefix("error: ")
        leftover = (results / "s/ingest/frames.h5").exists()
        fault = "frames were left behind" if leftover else ""
    elif done.returncode == 0:
        quality = json.loads((results / "s/ingest/quality.json").read_text())
        outcome, message = quality["status"], "; ".join(quality["messages"])
        fault = "" if (results / "s/ingest/frames.h5").exists() else "no frames"
    else:
        return Ending("crash", f"exit code {done.returncode}", "it ends otherwise")
    if outcome != case.outcome or case.message not in message:
        fault = f"expected {case.outcome}: {case.message}"
    return Ending(outcome, message, fault)


def main() -> int:
    with ThreadPoolExecutor(2) as pool:
        endings = list(cli.progress(pool.map(run, CASES), "cases", len(CASES)))
    print(INTRODUCTION)
    counts = Counter(ending.outcome for ending in endings)
    print(
        f"{len(CASES)} cases: {', '.join(f'{n} {name}' for name, n in sorted(counts.items()))}.\n"
    )
    print("| input | outcome | message |\n|---|---|---|")
    for case, ending in zip(CASES, endings, strict=True):
        fault = f" **{ending.fault}**" if ending.fault else ""
        print(f"| {case.name} | {ending.outcome} | {ending.message}{fault} |")
        if ending.fault:
            print(
                f"{case.name}: {ending.outcome} {ending.message}: {ending.fault}", file=sys.stderr
            )
    return int(any(ending.fault for ending in endings))


if __name__ == "__main__":
    sys.exit(main())
