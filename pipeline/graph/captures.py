"""The captures that are there: `captures/<subject>/`, `captures/<subject>.mp4`, or elsewhere."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avatar.base import names
from avatar.base.errors import UserError
from pipeline.common.text import shown
from pipeline.graph.subject_table import Row
from pipeline.media import SUFFIXES

FOLDER = Path("captures")
DEMO = "demo"
# Snakemake refuses a wildcard whose value ends in 20 repeats.
_PERIODIC = re.compile(r"(.+)\1{19}$")


@dataclass
class Captures:
    """What was found.

    Attributes:
        paths: subject to its capture.
        refused: name to the reason why it is left out, a sentence that starts with the place.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def refuse(self, name: str, reason: str) -> None:
        """Leave a subject out."""
        self.paths.pop(name, None)
        self.refused[name] = reason


def find_captures(folder: Path, table: Mapping[str, Row], reserved: Collection[str]) -> Captures:
    """Every capture in the folder and of the table; what is odd is left out and named.

    Args:
        reserved: names that the graph itself has.
    Raises:
        UserError: a row of the table has no capture.
    """
    found = _in_folder(folder, reserved)
    for subject, row in table.items():
        if row.capture:
            found.refused.pop(subject, None)
            found.paths[subject] = Path(row.capture)
            _check(found, subject, f"config/subjects.tsv: {subject}", reserved)
        if subject in found.refused:
            continue
        if subject not in found.paths or not found.paths[subject].exists():
            place = row.capture or folder / subject
            raise UserError(f"config/subjects.tsv: {subject} has no capture at {shown(place)}")
    return found


def _in_folder(folder: Path, reserved: Collection[str]) -> Captures:
    found = Captures()
    try:
        entries = sorted(os.listdir(folder))
    except FileNotFoundError:
        return found
    except OSError as problem:
        found.refuse(str(folder), f"{folder} cannot be listed ({problem.strerror})")
        return found
    for name in entries:
        if name.startswith(".") or name.lower().split(".")[0] == "readme":
            continue
        _add(found, folder / name, reserved)
    return found


def _add(found: Captures, entry: Path, reserved: Collection[str]) -> None:
    """Take one entry of the folder, or leave it out."""
    place = f"{entry.parent}/{shown(entry.name)}"
    if problem := _oddity(entry):
        found.refused[entry.name] = f"{place} {problem}"
        return
    subject = entry.name if entry.is_dir() else entry.stem
    if subject in found.paths:
        both = f"{shown(found.paths[subject].name)} and {shown(entry.name)}"
        found.refuse(subject, f"{entry.parent}/: {both} are both {subject!r}: rename one")
    elif subject not in found.refused:
        found.paths[subject] = entry
        _check(found, subject, place, reserved)


def _oddity(entry: Path) -> str:
    """Why an entry is no capture; empty if it may be one."""
    try:
        if entry.is_symlink() and not entry.exists():
            return "is a link to nothing: remove it or make it again"
        if entry.is_dir():
            return "" if os.access(entry, os.R_OK | os.X_OK) else "may not be read"
        if not entry.is_file():
            return "is neither a folder nor a plain file"
    except OSError as problem:
        return f"cannot be read ({problem.strerror})"
    if entry.suffix.lower() not in SUFFIXES:
        return f"is no video ({', '.join(sorted(SUFFIXES))}) and no folder"
    return "" if os.access(entry, os.R_OK) else "may not be read"


def _check(found: Captures, subject: str, place: str, reserved: Collection[str]) -> None:
    """Leave a subject out whose name cannot be used."""
    try:
        names.check_name(subject, "subject")
    except UserError as problem:
        found.refuse(subject, f"{place}: {problem}" if place.startswith("config") else str(problem))
        return
    if subject == DEMO:
        found.refuse(subject, f"{place}: 'demo' is the built-in demonstration: rename the capture")
    elif subject in reserved:
        found.refuse(subject, f"{place}: {subject!r} is the name of a rule: rename the capture")
    elif repeat := _PERIODIC.search(subject):
        found.refuse(
            subject, f"{place}: the name ends in {repeat[1]!r} twenty times or more: rename it"
        )
