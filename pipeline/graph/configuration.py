"""Settings of every subject: config.yaml, the command line, the subject's row and its own file.

Later ones override earlier ones, key by key. Everything is checked with the stages' own
dataclasses before anything runs.
"""

import difflib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from avatar.base import settings
from avatar.base.errors import UserError
from avatar.refine.settings import RefineSettings
from avatar.train.presets import TrainSettings
from pipeline.common.text import shown
from pipeline.evaluate.settings import EvaluateSettings
from pipeline.graph.subject_table import Row
from pipeline.graph.yaml_file import read_mapping
from pipeline.ingest.settings import IngestSettings
from pipeline.matte.settings import MatteSettings
from pipeline.pack.settings import PackSettings
from pipeline.track.settings import TrackSettings

CONFIG = Path("config/config.yaml")
TABLE = Path("config/subjects.tsv")
SUBJECTS = Path("config/subjects")
RESULTS = Path("results")
COMMAND_LINE = "--config or --configfile"
RIGS = ("anny", "flame")
STAGES: dict[str, type] = {
    "ingest": IngestSettings,
    "matte": MatteSettings,
    "track": TrackSettings,
    "pack": PackSettings,
    "refine": RefineSettings,
    "train": TrainSettings,
    "evaluate": EvaluateSettings,
}


@dataclass(frozen=True)
class Configuration:
    """The settings of one subject.

    Attributes:
        rig: name of its head rig.
        flame: the user's FLAME file, or None.
        values: settings by stage, as they were given.
        stages: the same as the stages' dataclasses, complete.
    """

    rig: str = "anny"
    flame: str | None = None
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: dict[str, Any] = field(default_factory=dict)


def read_config(command_line: dict[str, Any]) -> dict[str, Any]:
    """config.yaml with what the command line sets; checked.

    Raises:
        UserError: names the file, the key and what is allowed.
    """
    values = read_mapping(CONFIG)
    check(values, str(CONFIG))
    if not command_line:
        return values
    merged = settings.merge(values, _typed(command_line))
    check(merged, COMMAND_LINE)
    return merged


def _typed(command_line: dict[str, Any]) -> dict[str, Any]:
    """Settings of the command line: of `train={seed: 5}` Snakemake makes the text "5"."""
    try:
        check(command_line, COMMAND_LINE)
    except UserError:
        command_line = _numbers(command_line)
        check(command_line, COMMAND_LINE)
    return command_line


def _numbers(value: Any) -> Any:
    """Texts that are JSON numbers, true, false or null as what they are."""
    if isinstance(value, dict):
        return {str(key): _numbers(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(entry) for entry in value]
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
    return value if isinstance(found, dict | list) else found


def of_subject(subject: str, config: dict[str, Any], row: Row | None) -> Configuration:
    """The settings of a subject: those of all, its row in the table, and its own file.

    Raises:
        UserError: names the file, the key and what is allowed.
    """
    own = _own_settings(subject, row)
    for _, values in own:
        config = settings.merge(config, values)
    source = own[-1][0] if own else str(CONFIG)
    found = check(config, source)
    if found.rig == "flame" and not Path(found.flame or "").is_file():
        raise UserError(
            f"{source}: flame is {found.flame!r}, which is no file: the rig flame is made from "
            "your own FLAME file (README.md, FLAME)"
        )
    return found


def _own_settings(subject: str, row: Row | None) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    if row and (row.rig or row.preset):
        values = ({"rig": row.rig} if row.rig else {}) | (
            {"train": {"preset": row.preset}} if row.preset else {}
        )
        found.append((f"{TABLE}: {subject}", values))
    path = SUBJECTS / f"{subject}.yaml"
    if path.exists() or path.is_symlink():
        values = read_mapping(path)
        check(values, str(path))
        found.append((str(path), values))
    return found


def check(values: dict[str, Any], source: str) -> Configuration:
    """The settings as dataclasses.

    Args:
        source: file that a mistake is in, for the message.
    Raises:
        UserError: an unknown key, or a value of the wrong type or range.
    """
    known = ["rig", "flame", *STAGES]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            raise UserError(f"{source}: {shown(key)} is no setting: {hint}")
    try:
        parts = {stage: _part(values, stage) for stage in STAGES}
        rig, flame = _rig(values.get("rig", "anny")), _flame(values.get("flame"))
        return _built(rig, flame, json.dumps(parts, default=str))
    except UserError as problem:
        raise UserError(f"{source}: {str(problem).removeprefix('settings: ')}") from None
    except (ValueError, TypeError, RecursionError) as problem:
        raise UserError(f"{source}: {shown(problem)}") from None


@cache
def _built(rig: str, flame: str | None, text: str) -> Configuration:
    """The same for all subjects with the same settings."""
    parts = json.loads(text)
    stages: dict[str, Any] = {
        stage: settings.check(STAGES[stage], parts[stage], stage) for stage in STAGES
    }
    return Configuration(rig, flame, parts, stages)


def _part(values: dict[str, Any], stage: str) -> dict[str, Any]:
    part = values.get(stage, {})
    if not isinstance(part, dict):
        raise UserError(f"{stage} is {shown(part, 60)}, expected its settings, indented below it")
    return part


def _rig(name: Any) -> str:
    """A rig that can be made, or whose file is there."""
    if name in RIGS:
        return str(name)
    known = [*RIGS, *sorted(path.stem for path in (RESULTS / "rigs").glob("*.npz"))]
    if name in known:
        return str(name)
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f"did you mean {near[0]!r}? E" if near else "e"
    raise UserError(
        f"rig is {shown(name, 60)!r}: {hint}xpected {', '.join(RIGS)}, or the name of a file in "
        f"{RESULTS}/rigs/"
    )


def _flame(path: Any) -> str | None:
    if path is not None and not isinstance(path, str):
        raise UserError(f"flame is {shown(path, 60)}, expected the path of your FLAME file or null")
    return path
