"""What the stages of a subject are made from, as one hash for each stage.

The hash of a stage covers its code version, those of its settings that change what it writes, the
capture, the rig, and the hash of the stage before. It is part of the name of the stage's stamp
(`avatar.base.made`): a stage whose stamp is missing is made.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from avatar.base import made
from avatar.train.presets import Preset
from pipeline.capture import images
from pipeline.graph.configuration import Configuration
from pipeline.graph.fingerprint import Contents
from pipeline.media import SUFFIXES

# Raise a stage's number when its code changes what it writes: finished subjects are then redone.
VERSIONS = {
    "rig": 4,
    "demo_capture": 1,
    "ingest": 4,
    "matte": 6,
    "track": 9,
    "pack": 3,
    "refine": 5,
    "train": 7,
    "evaluate": 12,
    "report": 3,
}
# The files without which a stage counts as not made; relative to results/<subject>.
FILES = {
    "ingest": ("ingest/frames.h5", "ingest/index.json"),
    "matte": ("matte/alpha.h5",),
    "track": ("track/params.npz", "track/cameras.json"),
    "pack": ("dataset.h5",),
    "refine": ("refine/params.npz", "refine/quality.json"),
    "train": ("avatar/avatar.safetensors", "avatar/rig_params.npz"),
    "evaluate": ("eval/summary.json", "eval/metrics.csv"),
    "report": ("report.html", "thumbnail.webp"),
}


def made_from(
    config: Configuration,
    versions: Mapping[str, int],
    capture: Contents,
    extra: Mapping[str, Any],
) -> dict[str, str]:
    """The hash of every stage.

    Args:
        versions: of the stages' code.
        extra: what else a stage depends on: the rig and external tracks of `track`, the group of
            `evaluate`.
    """
    hashes: dict[str, str] = {}
    before = capture.hash
    for stage in made.STAGES:
        parts = [
            stage,
            versions[stage],
            before,
            _settings(stage, config, capture),
            extra.get(stage),
        ]
        text = json.dumps(parts, sort_keys=True, default=str)
        before = hashes[stage] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return hashes


def _settings(stage: str, config: Configuration, capture: Contents) -> dict[str, Any]:
    if stage not in config.stages:
        return {}
    part = made.output_part(config.stages[stage])
    if stage == "ingest":
        for name in _unused(capture):
            part.pop(name)
    if stage == "train":
        free = {f.name for f in fields(Preset) if not f.metadata.get("affects_output", True)}
        part["overrides"] = {k: v for k, v in part["overrides"].items() if k not in free}
    return part


def _unused(capture: Contents) -> list[str]:
    """Settings of ingest that do not apply to a capture."""
    suffixes = [Path(name).suffix.lower() for name in capture.names]
    unused = [] if images.SUFFIXES.intersection(suffixes) else ["image_fps"]
    if len(suffixes) == 1:
        unused += ["size", "align"]  # one video without a calibration
    elif "cameras.json" in capture.names and SUFFIXES.intersection(suffixes):
        unused.append("size_mono")
    return unused


def tidy(home: Path) -> None:
    """Remove the stamps of stages whose files are gone, and date the others in order.

    A missing avatar is made again; files of the stages before it only where they are needed.
    A stamp that is there is valid, whatever its date: a stage that starts removes those after it.
    Snakemake compares dates, which a copy of the folder may have mixed up.

    Args:
        home: `results/<subject>`.
    """
    latest = 0.0
    with suppress(OSError):  # a copy that may only be read, or another process at work
        for stage, names in FILES.items():
            there = all((home / name).exists() for name in names)
            if stage == "train" and not there:
                made.clear(home, stage)
            for path in made.stamps(home, stage):
                if not there:
                    path.unlink()
                elif path.stat().st_mtime < latest:
                    os.utime(path, (latest, latest))
                else:
                    latest = path.stat().st_mtime
