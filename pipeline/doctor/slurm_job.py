"""A small job on the cluster: does a node see the files, locks, packages and GPU that it needs?

`python -m pipeline.doctor.slurm_job FOLDER` is what runs there: it looks and prints JSON.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from avatar.base import files, locks
from avatar.base.errors import Busy
from avatar.base.slurm import run
from avatar.base.version import code_hash
from pipeline.doctor.finding import Finding

WAIT = 120  # seconds for the job to begin, and to end
SIGHT = 60.0  # seconds after which a file written on a node is seen here
_GIB = 2**30


def examine(partition: str, gres: str, results: Path) -> list[Finding]:
    """Run the job and compare what it saw with what is seen here.

    Args:
        partition: empty for the cluster's default.
        gres: what it asks for; empty for nothing.
        results: the results folder.
    """
    results.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".doctor-", dir=results))
    try:
        with locks.lock(folder / "lock"):
            files.write_text(folder / "here", str(os.getpid()))
            answer, problem = _ask(partition, gres, folder)
        if problem:
            remedy = "see the reason in `squeue`, or run again when nodes are free"
            return [Finding("slurm job", "warn", problem, remedy)]
        return [
            Finding("slurm job", "ok", f"ran on {answer['node']}"),
            shared_files(answer, folder),
            shared_locks(answer),
            code(answer),
            gpu(answer, bool(gres)),
            scratch(answer),
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ask(partition: str, gres: str, folder: Path) -> tuple[dict[str, Any], str]:
    options = [f"--partition={partition}"] if partition else []
    options += [f"--gres={gres}"] if gres else []
    command = (sys.executable, "-m", "pipeline.doctor.slurm_job", str(folder.absolute()))
    text, problem = run(
        "srun", "--ntasks=1", "--mem=2000", "--time=5", f"--immediate={WAIT}", "--quiet",
        *options, *command, patience=2 * WAIT,
    )  # fmt: skip
    try:
        return ({} if problem else json.loads(text.splitlines()[-1])), problem
    except (ValueError, IndexError):
        return {}, f"the job printed {text[-200:]!r}"


def shared_files(answer: dict[str, Any], folder: Path) -> Finding:
    """Whether node and login node see each other's files."""
    remedy = "put the checkout on a file system that all nodes share"
    if answer["here"] != str(os.getpid()):
        detail = f"{answer['node']} does not see a file of {folder.parent}"
        return Finding("slurm files", "fail", detail, remedy)
    start = time.monotonic()
    while time.monotonic() - start < SIGHT:
        with suppress(OSError):
            if (folder / "there").read_text() == answer["node"]:
                took = time.monotonic() - start
                return Finding("slurm files", "ok", f"seen here {took:.0f} s after the job's end")
        time.sleep(0.5)
    detail = f"a file that {answer['node']} wrote is not seen here after {SIGHT:.0f} s"
    return Finding("slurm files", "fail", detail, f"{remedy}, or raise latency-wait")


def shared_locks(answer: dict[str, Any]) -> Finding:
    """Whether a lock that is held here is held on the node."""
    if answer["locked"]:
        return Finding("slurm locks", "ok", "a lock that is held here is held on the node")
    detail = f"{answer['node']} took a lock that is held here: two jobs could write one subject"
    return Finding("slurm locks", "fail", detail, "mount the file system with locks (nolock off)")


def code(answer: dict[str, Any]) -> Finding:
    """Whether the node runs the same code and the same torch."""
    here = _versions()
    differ = [name for name in here if answer["versions"].get(name) != here[name]]
    if not differ:
        return Finding("slurm code", "ok", f"the same on {answer['node']}")
    detail = f"{answer['node']} has another {', '.join(differ)}"
    return Finding("slurm code", "fail", detail, "use one checkout and one .venv for all nodes")


def gpu(answer: dict[str, Any], wanted: bool) -> Finding:
    """Whether torch sees the GPU that the job asked for."""
    if not wanted:
        return Finding("slurm GPU in a job", "ok", "none was asked for")
    if answer["cuda"]:
        return Finding("slurm GPU in a job", "ok", answer["cuda"])
    remedy = f"run 'headsplat doctor --gpu' on {answer['node']}; until then training uses the CPU"
    return Finding("slurm GPU in a job", "warn", "a GPU was given, torch sees none", remedy)


def scratch(answer: dict[str, Any]) -> Finding:
    """Room for temporary files on the node."""
    free = answer["free"] / _GIB
    detail = f"{free:.1f} GiB free in {answer['scratch']} of {answer['node']}"
    if free >= 1:
        return Finding("slurm scratch", "ok", detail)
    return Finding("slurm scratch", "warn", detail, "set TMPDIR to a folder with more room")


def _versions() -> dict[str, str]:
    import torch

    return {"python": sys.version, "torch": torch.__version__, "headsplat": code_hash()}


def look(folder: Path) -> dict[str, Any]:
    """What is seen on this node."""
    import torch

    node = os.uname().nodename
    try:
        with locks.lock(folder / "lock"):
            locked = False
    except Busy:
        locked = True
    here = ""
    with suppress(OSError):
        here = (folder / "here").read_text()
        files.write_text(folder / "there", node)
    return {
        "node": node,
        "here": here,
        "locked": locked,
        "versions": _versions(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "",
        "scratch": tempfile.gettempdir(),
        "free": shutil.disk_usage(tempfile.gettempdir()).free,
    }


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]))))
