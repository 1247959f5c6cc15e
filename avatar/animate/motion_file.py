"""Recorded coefficients: a CSV of Live Link Face, or JSON as LAM_WebRender plays it."""

import csv
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from avatar.animate import motion
from avatar.base import files
from avatar.base.errors import UserError
from avatar.rig import HeadRig, RigParams
from avatar.rig.arkit import ARKIT_NAMES
from avatar.rig.rotations import axis_angle_to_matrix

HEAD = ("HeadPitch", "HeadYaw", "HeadRoll")  # rad, about +x, +y and +z of the head
EYES = ("LeftEyePitch", "LeftEyeYaw", "RightEyePitch", "RightEyeYaw")  # rad, about +x and +y
UNUSED = ("LeftEyeRoll", "RightEyeRoll", "BlendShapeCount")
TIMECODE, SECONDS = "Timecode", "time"
RATE = 30.0  # rows per second where a file does not tell
MOST_BYTES = 1 << 28
MOST_GAP = 1.0  # seconds between rows; more is a gap
_RATES = (24, 25, 30, 50, 60)  # frames of a timecode per second
_BY_LOWER = {
    name.lower(): name for name in (*ARKIT_NAMES, *HEAD, *EYES, *UNUSED, TIMECODE, SECONDS)
}


@dataclass(frozen=True)
class Recording:
    """Coefficients of T frames.

    Attributes:
        strengths: ARKit's actions by name, 0..1; those that a file does not name are 0.
        head: pitch, yaw and roll (rad), if the file has them.
        eyes: pitch and yaw of the left eye, then of the right (rad), if the file has them.
        time: seconds from the first frame.
    """

    strengths: dict[str, Float[np.ndarray, "T"]]
    head: Float[np.ndarray, "T 3"] | None
    eyes: Float[np.ndarray, "T 4"] | None
    time: Float[np.ndarray, "T"]


def read(path: Path, rate: float = RATE) -> Recording:
    """Read a motion file; its suffix tells which kind it is.

    Args:
        rate: rows per second of a file without times.
    Raises:
        UserError: absent, unreadable, a column that is not known, a cell that is empty or not a
            finite number, a strength far from 0..1, or rows that are missing.
    """
    columns = _read_json(path) if path.suffix.lower() == ".json" else _read_csv(path)
    time = columns.pop(SECONDS, None)
    if not columns:
        raise UserError(f"{path} has no column of coefficients: expected ARKit's 52 names")
    count = len(next(iter(columns.values())))
    time = np.arange(count) / rate if time is None else time - time[0]
    _check_times(path, time)
    return Recording(
        {name: _strength(path, name, columns[name]) for name in columns if name in ARKIT_NAMES},
        _stacked(columns, HEAD),
        _stacked(columns, EYES),
        time,
    )


def to_motion(recording: Recording, own: RigParams, rig: HeadRig) -> RigParams:
    """The recorded motion on an avatar: coefficients from the neutral face, turns of the head.

    Rotations of the eyes count only where no `eyeLook` coefficient is given: recorders write
    the same gaze as both.

    Args:
        own: of the avatar.
    Raises:
        UserError: the rig's expressions are not ARKit's.
    """
    count = len(recording.time)
    poses = motion.named_poses(rig, recording.strengths, count)
    if recording.eyes is not None and not any("eyeLook" in name for name in recording.strengths):
        for place, column in zip((0, 1, 3, 4), recording.eyes.T, strict=True):
            poses["eyes_pose"][:, place] = torch.from_numpy(column).float()
    if recording.head is not None:
        x, y, z = (_about(axis, recording.head[:, axis]) for axis in range(3))
        poses["neck_pose"] = motion.turned_neck(motion.resting(own), y @ x @ z)
    return motion.moved(own, poses, recording.time)


def _about(axis: int, angle: Float[np.ndarray, "T"]) -> Float[torch.Tensor, "T 3 3"]:
    turn = torch.zeros(len(angle), 3, dtype=torch.float64)
    turn[:, axis] = torch.from_numpy(angle)
    return axis_angle_to_matrix(turn)


def _strength(path: Path, name: str, values: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Recorders and networks overshoot a little; percentages are another unit."""
    worst = values[np.argmax(np.abs(values - 0.5))]
    if abs(worst - 0.5) > 1.5:
        raise UserError(f"{path}: {name} reaches {worst:g}, expected 0 to 1: scale the file")
    return values.clip(0, 1)


def _stacked(
    columns: dict[str, Float[np.ndarray, "T"]], names: tuple[str, ...]
) -> Float[np.ndarray, "T D"] | None:
    if not any(name in columns for name in names):
        return None
    zero = np.zeros(len(next(iter(columns.values()))))
    return np.stack([columns.get(name, zero) for name in names], 1)


def _read_csv(path: Path) -> dict[str, Float[np.ndarray, "T"]]:
    try:
        lines = list(csv.reader(_text(path).splitlines(), skipinitialspace=True))
    except csv.Error as problem:
        raise UserError(f"{path} is not a table of comma-separated values: {problem}") from None
    rows = [row for row in lines if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise UserError(f"{path} has no rows: expected a header of names, then a row per frame")
    names = _known(path, rows[0])
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise UserError(
                f"{path}: row {number} has {len(row)} cells, the header has {len(names)}: "
                "a gap in the recording; cut the file there"
            )
    columns: dict[str, np.ndarray] = {}
    for place, name in enumerate(names):
        cells = [row[place].strip() for row in rows[1:]]
        if name == TIMECODE:
            columns[SECONDS] = _seconds(path, cells)
        elif name not in UNUSED:
            columns[name] = np.array([_number(path, i, name, c) for i, c in enumerate(cells, 2)])
    return columns


def _read_json(path: Path) -> dict[str, Float[np.ndarray, "T"]]:
    """`{"names": [N], "metadata": {"fps"}, "frames": [{"weights": [N], "time", "rotation": [3]}]}`.

    `metadata`, `time` (seconds) and `rotation` are optional. A rotation is pitch, yaw and roll, or
    empty.
    """
    try:
        value = json.loads(_text(path))
        names = _known(path, value["names"])
        frames = value["frames"]
        if not isinstance(frames, list) or not frames:
            raise ValueError("no frames")
        columns = _columns(path, names, [frame["weights"] for frame in frames], "weights")
        turns = [frame.get("rotation") or [] for frame in frames]
        if any(turns):
            columns |= _columns(path, list(HEAD), turns, "rotation")
        times = [frame.get("time") for frame in frames]
        rate = float((value.get("metadata") or {}).get("fps", RATE))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise UserError(
            f'{path} is not a motion file ({problem}): expected {{"names": [...], "frames": '
            '[{"weights": [...]}, ...]}'
        ) from None
    if not (math.isfinite(rate) and 1 <= rate <= 1000):
        raise UserError(f"{path}: metadata.fps is {rate:g}, expected 1 to 1000")
    if all(time is None for time in times):
        return columns | {SECONDS: np.arange(len(frames)) / rate}
    return columns | {
        SECONDS: np.array([_number(path, i, SECONDS, time) for i, time in enumerate(times)])
    }


def _columns(
    path: Path, names: list[str], rows: list[Any], what: str
) -> dict[str, Float[np.ndarray, "T"]]:
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise UserError(
                f"{path}: {what} of frame {number} are {len(row)} numbers, expected {len(names)}: "
                "a gap in the recording; cut the file there"
            )
    return {
        name: np.array([_number(path, i, name, row[place]) for i, row in enumerate(rows)])
        for place, name in enumerate(names)
    }


def _text(path: Path) -> str:
    try:
        with files.open_plain(path) as file:
            return file.read(MOST_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as problem:
        raise UserError(f"{path} cannot be read as text: {problem}") from None


def _known(path: Path, given: list[Any]) -> list[str]:
    """The names as ARKit spells them: Live Link Face begins them with a capital letter."""
    names = []
    for name in map(str.strip, map(str, given)):
        if name.lower() not in _BY_LOWER:
            raise UserError(
                f"{path}: {name!r} is not one of ARKit's 52 names nor a rotation of head or eyes: "
                "rename or remove the column"
            )
        names.append(_BY_LOWER[name.lower()])
    if len(set(names)) < len(names):
        raise UserError(f"{path}: a column is there twice: remove one")
    return names


def _number(path: Path, row: int, name: str, cell: Any) -> float:
    try:
        value = float(str(cell))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        shown = str(cell)[:20]
        raise UserError(
            f"{path}: {name} in row {row} is {shown!r}, expected a finite number: "
            "cut the file there, or fill the gap"
        )
    return value


def _seconds(path: Path, cells: list[str]) -> Float[np.ndarray, "T"]:
    """Times of timecodes `HH:MM:SS:FF.fff`, FF in frames of the clock's rate."""
    matches = [re.fullmatch(r"(\d+):(\d+):(\d+):(\d+(?:\.\d+)?)", cell) for cell in cells]
    for row, (match, cell) in enumerate(zip(matches, cells, strict=True), 2):
        if match is None:
            raise UserError(
                f"{path}: timecode {cell[:20]!r} in row {row}, expected HH:MM:SS:FF.fff"
            )
    parts = np.array([[float(part) for part in match.groups()] for match in matches if match])
    # The clock's rate is not in the file: the lowest usual one that has all the frames seen.
    most = int(parts[:, 3].max())
    base = next((rate for rate in _RATES if rate > most), most + 1)
    if len(np.unique(parts[:, 2])) == 1:  # less than a second need not show the last frame
        base = 30 if most < 30 else 60
    seconds = parts[:, :3] @ [3600, 60, 1] + parts[:, 3] / base
    return seconds + 86400 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43200)  # midnight


def _check_times(path: Path, time: Float[np.ndarray, "T"]) -> None:
    steps = np.diff(time)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 2
        raise UserError(f"{path}: the time of frame {row} is not after that of the one before")
    if (steps > MOST_GAP).any():
        row = int(np.argmax(steps > MOST_GAP))
        raise UserError(
            f"{path}: {steps[row]:.1f} s are missing after frame {row + 1}, at most {MOST_GAP:g} s "
            "may: cut the file there"
        )
