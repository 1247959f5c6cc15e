"""What the stages left for the tables: summaries of evaluated subjects, records of failures.

Files may be damaged, half a program's, or made with intent: one that cannot be read is named, and
the others are read all the same.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avatar.base import made, names
from avatar.base.errors import UserError
from pipeline.common.text import read_text, shown
from pipeline.evaluate.measures import CROSS_MEASURES, METRICS, SPREAD

SPREADS = tuple(f"{metric}_{key}" for metric in METRICS for key in SPREAD)
NEEDED = ("psnr", "ssim")  # of the metrics; the others may not have been measured
ABOUT = ("subject", "group", "rig", "preset", "overrides_hash")
# How an avatar was made; absent from summaries of earlier versions.
COUNTS = ("images", "gaussians")
MADE = (
    *("torso", "images", "seconds", "gaussians", "background", "lpips_backbone"),
    *("code_version", "torch_version", "dataset_sha256", "date"),
)
CROSS_FOLDER = "cross_reenactment"  # of a subject, a summary for each driver
CROSS_SCORES = (*CROSS_MEASURES, "identity_driver", "lids", "lids_driver")
_LIMIT = 8 << 20  # bytes of a file, and of an avatar's header
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
AVATAR = Path("avatar/avatar.safetensors")
_TELL_APART = ("dataset_sha256", "overrides_hash", "seed", "date")  # avatars of one subject
NO_AVATAR = "no avatar"
OUTDATED = "outdated"


@dataclass(frozen=True)
class Failure:
    """A stage that failed, or a file that cannot be read."""

    subject: str
    stage: str
    error: str


@dataclass
class Results:
    """All that is known of the subjects.

    Attributes:
        rows: a row for each subject, protocol and region, with the spread of the metrics for the
            full frame; `state` is empty for one whose avatar is that of the summary.
        cross: a row for each subject and driver.
        failures: of stages, and of summaries that cannot be read.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    cross: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def read_results(results: Path) -> Results:
    """Every subject's summary and failure records under `results`."""
    found = Results()
    for path in sorted(results.glob("*/failures/*.json")):
        found.failures.append(_failure(path))
    for path in sorted(results.glob("*/eval/summary.json")):
        home = path.parents[1]
        try:
            found.rows += _rows(_read_json(path), home)
        except (UserError, *_DAMAGE):
            error = f"{path} is damaged: run 'snakemake {home.name} --forcerun evaluate'"
            found.failures.append(Failure(shown(home.name), "evaluate", shown(error)))
    groups = {row["subject"]: row["group"] for row in found.rows}
    for path in sorted(results.glob(f"*/{CROSS_FOLDER}/*.json")):
        home = path.parents[1]
        try:
            found.cross.append(_cross_row(_read_json(path), home, groups.get(home.name, "")))
        except (UserError, *_DAMAGE):
            error = f"{path} is damaged: run 'headsplat drive {home.name} --by ... --measure' again"
            found.failures.append(Failure(shown(home.name), "drive", shown(error)))
    return found


def _read_json(path: Path) -> Any:
    return json.loads(read_text(path, _LIMIT))


def _failure(path: Path) -> Failure:
    try:
        message = str(_read_json(path)["error"])
    except (UserError, *_DAMAGE):
        message = f"{path} is damaged"
    return Failure(shown(path.parts[-3]), shown(path.stem), shown(message))


def _rows(summary: dict[str, Any], home: Path) -> list[dict[str, Any]]:
    about = _about(summary, home) | {"state": state(home, summary)}
    return [
        about
        | _under(protocol, of_protocol, about)
        | {"region": shown(region)}
        | _scores(scores, (*METRICS, *SPREADS) if region == "full" else METRICS)
        for protocol, of_protocol in summary["protocols"].items()
        for region, scores in of_protocol["regions"].items()
    ]


def _about(summary: dict[str, Any], home: Path) -> dict[str, Any]:
    about = {key: _plain(summary.get(key, "")) for key in ABOUT}
    about |= {key: _plain(summary.get(key)) for key in MADE}
    about |= {key: int(about[key]) for key in COUNTS if about[key] is not None}
    if about["subject"] != home.name or not names.is_name(home.name):
        raise ValueError("a summary of another subject")
    return about


def _cross_row(summary: dict[str, Any], home: Path, group: str) -> dict[str, Any]:
    """Of a subject and a driver; the group is that of the subject's other rows."""
    scores = summary["scores"]
    return (
        _about(summary, home)
        | {"group": group, "protocol": shown(summary["protocol"])}
        | {"driver": shown(summary["driver"]), "n": int(scores["n"])}
        | _finite(scores, CROSS_SCORES)
        | {"state": of_avatar(home, summary)}
    )


def _under(protocol: str, found: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """Under what a protocol's rows were measured; summaries of earlier versions say it once."""
    background = _plain(found.get("background", about["background"]))
    return {"protocol": shown(protocol), "background": background}


def _plain(value: Any) -> Any:
    """A number as it is, a text fit for a table, None for nothing."""
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    if not isinstance(value, str):
        raise TypeError("neither text nor a finite number")
    return shown(value)


def _scores(scores: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The named metrics and spreads; None where one was not measured."""
    if any(scores.get(name) is None for name in NEEDED):
        raise ValueError("a metric is missing")
    return {"n": int(scores["n"])} | _finite(scores, names)


def _finite(scores: dict[str, Any], names: Iterable[str]) -> dict[str, float | None]:
    found = {name: None if scores.get(name) is None else float(scores[name]) for name in names}
    if not all(math.isfinite(value) for value in found.values() if value is not None):
        raise ValueError("a metric is not finite")
    return found


def state(home: Path, summary: dict[str, Any]) -> str:
    """Whether the avatar of a summary is still there: empty, `NO_AVATAR` or `OUTDATED`."""
    if found := of_avatar(home, summary):
        return found
    avatar = home / AVATAR
    if (home / made.FOLDER).is_dir():
        outdated = not made.stamps(home, "evaluate")
    else:
        outdated = _newer(home / "dataset.h5", avatar) or _newer(avatar, home / "eval/summary.json")
    return OUTDATED if outdated else ""


def of_avatar(home: Path, summary: dict[str, Any]) -> str:
    """Whether a summary is of the avatar that is there: as `state`, whatever the stages did."""
    if not (home / AVATAR).is_file():
        return NO_AVATAR
    about = avatar_about(home / AVATAR)
    known = [key for key in _TELL_APART if key in about and key in summary]
    return OUTDATED if any(about[key] != summary[key] for key in known) else ""


def _newer(one: Path, other: Path) -> bool:
    return one.is_file() and one.stat().st_mtime > other.stat().st_mtime


def avatar_about(path: Path) -> dict[str, Any]:
    """What training wrote into the header of `avatar.safetensors`; empty if it is damaged."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= _LIMIT else {}
        about = json.loads(header["__metadata__"]["headsplat"])
    except (OSError, *_DAMAGE):
        return {}
    return about if isinstance(about, dict) else {}
