"""Stamps: which stages of a subject are done.

`results/<subject>/made/<stage>-<hash>.json` exists while the files of the stage are whole and were
made from what the hash stands for: code version, settings, capture and the stages before. The
workflow declares only these small files to Snakemake, which deletes what a job declares before
it runs; the results themselves stay until their successors replace them. Imports nothing heavy.
"""

import os
import resource
import socket
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avatar.base import files

# In the order of the data.
STAGES = ("ingest", "matte", "track", "pack", "refine", "train", "evaluate", "report")
FOLDER = "made"
BY_HAND = "by-hand"
# `field(default=2, metadata=NO_EFFECT)`: a setting that changes nothing in what the stage writes.
NO_EFFECT = {"affects_output": False}


def stamp(home: Path, stage: str, made_from: str) -> Path:
    """The stamp's path; `home` is `results/<subject>`."""
    return home / FOLDER / f"{stage}-{made_from}.json"


def stamps(home: Path, stage: str) -> list[Path]:
    """The stamps of a stage that are there."""
    return sorted((home / FOLDER).glob(f"{stage}-*.json"))


def clear(home: Path, stage: str) -> None:
    """Remove the stamps of a stage and of all stages after it: it is about to be made again."""
    assert stage in STAGES, stage
    for later in STAGES[STAGES.index(stage) :]:
        for path in stamps(home, later):
            path.unlink(missing_ok=True)


def write(home: Path, stage: str, made_from: str, seconds: float | None = None) -> None:
    """Write the stamp of a finished stage. No two runs write the same bytes.

    Args:
        seconds: wall time of the stage; with it the process's peak memory, the machine and Slurm's
            job are recorded.
    """
    about: dict[str, Any] = {"stage": stage, "made_from": made_from}
    about["date"] = datetime.now(UTC).isoformat()
    if seconds is not None:
        about |= {"seconds": round(seconds, 2), "peak_mib": peak_mib()}
        about |= {"node": socket.gethostname(), "job": os.environ.get("SLURM_JOB_ID", "")}
    files.write_json(stamp(home, stage, made_from), about)


def peak_mib() -> int:
    """Resident memory (MiB) of this process or the largest of its children, at its peak."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in whose) >> 10


def output_part(settings: Any) -> dict[str, Any]:
    """The settings of a dataclass that change what its stage writes, nested ones included."""
    part = {}
    for entry in fields(settings):
        if entry.metadata.get("affects_output", True):
            value = getattr(settings, entry.name)
            part[entry.name] = output_part(value) if is_dataclass(value) else value
    return part
