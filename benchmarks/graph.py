"""The graph of many subjects: python -m benchmarks.graph [--subjects 10 100 1000 5000]

Dry runs of generated projects: all subjects, and one of them; processor time and peak memory, and a
plot of their growth in docs/images/graph.svg. Then the time that Snakemake adds to each local job,
with stages that do nothing, and the start of every stage (`--help`).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from avatar.base import made
from benchmarks import report

SOURCES = ["workflow", "profiles", "pipeline/graph"]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
STAGES = ("rig", *made.STAGES)
WORKED = 10  # subjects whose jobs are run
# Stands for the interpreter: makes the stamp that a rule declares, and nothing else.
STUB = """#!/bin/sh
stage=${2##*.} subject=$3
while [ $# -gt 0 ]; do
  case $1 in --subject) subject=$2 ;; --made-from) made=$2 ;; esac
  shift
done
[ -z "$made" ] || { mkdir -p results/$subject/made; : > results/$subject/made/$stage-$made.json; }
"""
PICTURE = "![processor time and memory over the number of subjects](images/graph.svg)"
LIMITS = {
    "all of 1000": (20.0, "s"), "memory of 1000": (400.0, "MiB"), "one of 5000": (3.0, "s"),
    "a local job": (0.2, "s"), "the start of a stage": (1.0, "s"),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What a process took: wall and processor seconds, peak memory in MiB."""

    wall: float
    busy: float
    peak: float


def measure(project: Path, *command: str) -> Cost:
    """Run a command; its processor time counts that of its children."""
    before = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(report.ROOT)}
    process = subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    told = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, told
    return Cost(time.perf_counter() - before, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10)


def make_project(folder: Path, subjects: int) -> Path:
    """A project with so many captures of a few bytes, and a rig."""
    for name in ("workflow", "config", "profiles"):
        shutil.copytree(report.ROOT / name, folder / name)
    (folder / "captures").mkdir()
    (folder / "results/rigs").mkdir(parents=True)
    (folder / "results/rigs/anny.npz").touch()
    for number in range(subjects):
        (folder / f"captures/subject_{number:04}.mp4").write_text(str(number))
    return folder


def plan(subjects: int) -> tuple[Cost, Cost]:
    """Dry runs of all subjects and of one."""
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name), subjects)
        dry = (SNAKEMAKE, "-n", "-q", "rules", "--cores", "1")
        return measure(project, *dry), measure(project, *dry[:2], *dry[4:], "subject_0000")


def replace_stages(project: Path, also: str = "") -> None:
    """Let stages only make their stamps.

    Args:
        also: a command that each runs in the end.
    """
    stub = project / "stub.sh"
    stub.write_text(STUB + also)
    stub.chmod(0o755)
    with open(project / "workflow/Snakefile", "a", encoding="utf-8") as snakefile:
        snakefile.write(f'\n\nshell.prefix(prefix("{stub}"))\n')


def work() -> tuple[int, float]:
    """How many jobs were run, and the wall time that each took; the stages do nothing."""
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name), WORKED)
        replace_stages(project)
        planned = measure(project, SNAKEMAKE, "-n", "--cores", "1")
        done = measure(project, SNAKEMAKE, "--cores", "1")
        jobs = len(list(project.glob("results/*/made/*.json")))
        return jobs, (done.wall - planned.wall) / jobs


def starts() -> dict[str, Cost]:
    """The `--help` of every stage."""
    root = report.ROOT
    return {
        stage: measure(root, sys.executable, "-m", "pipeline", stage, "--help") for stage in STAGES
    }


def draw(path: Path, costs: dict[int, tuple[Cost, Cost]]) -> None:
    """Time and memory over the number of subjects."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    counts = list(costs)
    for index, label in enumerate(("all subjects", "one subject")):
        left.loglog(counts, [costs[n][index].busy for n in counts], "o-", label=label)
        right.loglog(counts, [costs[n][index].peak for n in counts], "o-", label=label)
    for axes, what in ((left, "processor time, s"), (right, "peak memory, MiB")):
        axes.set(xlabel="subjects", ylabel=what)
        axes.grid(alpha=0.3)
    left.legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, nargs="+", default=[10, 100, 1000, 5000])
    report.add_option(parser)
    args = parser.parse_args()
    costs = {count: plan(count) for count in args.subjects}
    rows = [
        [n, *(f"{v:.1f}" for v in (a.busy, a.wall)), f"{a.peak:.0f}", f"{b.busy:.1f}",
         f"{b.wall:.1f}", f"{b.peak:.0f}"]
        for n, (a, b) in costs.items()
    ]  # fmt: skip
    header = [
        "subjects",
        "all: CPU, s",
        "wall, s",
        "peak, MiB",
        "one: CPU, s",
        "wall, s",
        "peak, MiB",
    ]
    jobs, each = work()
    started = starts()
    slowest = max(started, key=lambda stage: started[stage].busy)
    found = {"a local job": each, "the start of a stage": started[slowest].busy}
    if 1000 in costs:
        found |= {"all of 1000": costs[1000][0].busy, "memory of 1000": costs[1000][0].peak}
    if 5000 in costs:
        found["one of 5000"] = costs[5000][1].busy
    limits = [
        [name, f"{found[name]:.2f} {unit}", f"{limit:g} {unit}"]
        for name, (limit, unit) in LIMITS.items()
        if name in found
    ]
    body = (
        report.table(header, rows)
        + f"\n\nLoad average of the machine: {os.getloadavg()[0]:.0f}. A local job: wall time of "
        f"{jobs} jobs, one after the other. The slowest start is that of `{slowest}`.\n\n"
        + report.table(["limit", "found", "at most"], limits)
        + f"\n\n{PICTURE}"
    )
    if args.write:
        draw(report.ROOT / "docs/images/graph.svg", costs)
    report.publish("docs/performance.md", "graph", body, SOURCES, args.write)
    return int(any(found[name] > LIMITS[name][0] for name in found))


if __name__ == "__main__":
    sys.exit(main())
