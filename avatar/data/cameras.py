"""Cameras: pinhole, OpenCV axes, and their file (`cameras.json`)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from avatar.base import files, names
from avatar.base.errors import UserError

VERSION = 1
# What an entry of `cameras.json` may hold; `camera_model` is optional and changes nothing.
KEYS = ("width", "height", "K", "distortion", "viewmat", "time_offset", "camera_model")
MODELS = ("PINHOLE", "OPENCV")
LARGEST, FARTHEST = 65_535, 1e4  # pixels of a side; metres from the world's origin


@dataclass(frozen=True)
class Cameras:
    """C static cameras in lexicographic order of their names.

    Attributes:
        ids: names.
        Ks: intrinsics in pixels of the stored frames; pixel (0, 0) has its centre at (0.5, 0.5).
        viewmats: world-to-camera, OpenCV (+x right, +y down, +z forward), metres.
        sizes: width and height in pixels.
        distortion: k1 k2 p1 p2 k3 as OpenCV defines them; zero after ingest.
        time_offsets: seconds to add to a camera's own clock.
    """

    ids: list[str]
    Ks: Float[np.ndarray, "C 3 3"]
    viewmats: Float[np.ndarray, "C 4 4"]
    sizes: Int[np.ndarray, "C 2"]
    distortion: Float[np.ndarray, "C 5"]
    time_offsets: Float[np.ndarray, "C"]

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, ids: list[str]) -> "Cameras":
        """The cameras with these names, in this order."""
        rows = [self.ids.index(name) for name in ids]
        return Cameras(
            list(ids),
            self.Ks[rows],
            self.viewmats[rows],
            self.sizes[rows],
            self.distortion[rows],
            self.time_offsets[rows],
        )

    def to_json(self) -> dict[str, Any]:
        """The value that `cameras.json` holds."""
        cameras = {
            name: {
                "width": int(self.sizes[i, 0]),
                "height": int(self.sizes[i, 1]),
                "K": self.Ks[i].tolist(),
                "distortion": self.distortion[i].tolist(),
                "viewmat": self.viewmats[i].tolist(),
                "time_offset": float(self.time_offsets[i]),
            }
            for i, name in enumerate(self.ids)
        }
        return {"version": VERSION, "units": "m", "cameras": cameras}

    def save(self, path: str | Path) -> None:
        """Write `cameras.json`, atomically."""
        files.write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> "Cameras":
        """Read `cameras.json`.

        Raises:
            UserError: not JSON, another version or unit, or a camera that is no camera.
        """
        try:
            value = files.read_json(path)
        except (OSError, ValueError, RecursionError) as problem:
            raise UserError(f"{path}: not readable as JSON ({problem})") from None
        return cls.from_json(value, path)

    @classmethod
    def from_json(cls, value: Any, path: str | Path) -> "Cameras":
        """Check a value as in `cameras.json`; `path` names it in messages.

        Raises:
            UserError: as `load`.
        """
        if not isinstance(value, dict) or value.get("version") != VERSION:
            raise UserError(f'{path}: expected {{"version": {VERSION}, ...}}: see docs/outputs.md')
        if value.get("units") != "m":
            raise UserError(f"{path}: units are {value.get('units')!r}, expected 'm': convert them")
        entries = value.get("cameras")
        if not isinstance(entries, dict) or not entries:
            raise UserError(f"{path}: 'cameras' names no camera")
        ids = sorted(entries)
        read = [_read_camera(path, name, entries[name]) for name in ids]
        return cls(ids, *(np.stack(column) for column in zip(*read, strict=True)))


def _read_camera(path: str | Path, name: str, entry: Any) -> tuple[np.ndarray, ...]:
    names.check_name(name, "camera")
    where = f"{path}: camera {name!r}"
    if not isinstance(entry, dict):
        raise UserError(f"{where}: expected an object, got {type(entry).__name__}")
    _check_keys(where, entry)
    K = _array(where, entry, "K", (3, 3))
    viewmat = _array(where, entry, "viewmat", (4, 4))
    distortion = _array(where, {"distortion": [0.0] * 5} | entry, "distortion", (5,))
    size = _array(where, {"size": [entry.get("width"), entry.get("height")]}, "size", (2,))
    offset = _array(where, {"time_offset": 0.0} | entry, "time_offset", ())
    check_pinhole(where, K, viewmat)
    if (size < 1).any() or (size != size.round()).any() or (size > LARGEST).any():
        raise UserError(
            f"{where}: width and height must be whole numbers above 0, at most {LARGEST}"
        )
    return K, viewmat, size.astype(np.int64), distortion, offset


def _check_keys(where: str, entry: dict[str, Any]) -> None:
    """An unknown key may be a lens term: nothing is ignored."""
    model = entry.get("camera_model", MODELS[0])
    if model not in MODELS:
        raise UserError(
            f"{where}: camera_model {model!r} is not supported, expected {' or '.join(MODELS)}: "
            "undistort the images with that model first"
        )
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        raise UserError(
            f"{where}: unknown key {unknown[0]!r}, expected {', '.join(KEYS)}: remove it; lens "
            "terms are distortion [k1, k2, p1, p2, k3], others are not supported"
        )


def check_pinhole(
    where: str, K: Float[np.ndarray, "3 3"], viewmat: Float[np.ndarray, "4 4"]
) -> None:
    """Check intrinsics and pose of a camera; `where` begins the message.

    Raises:
        UserError: K is no pinhole matrix, or viewmat no rigid motion in metres.
    """
    _check_intrinsics(where, K)
    _check_pose(where, viewmat)


def _check_intrinsics(where: str, K: np.ndarray) -> None:
    """Positive focal lengths, and zero where a pinhole matrix is zero."""
    expected = "expected [[fx,0,cx],[0,fy,cy],[0,0,1]]"
    if not (K[0, 0] > 0 and K[1, 1] > 0 and np.allclose(K[2], [0, 0, 1])):
        raise UserError(f"{where}: K is no pinhole matrix: {expected}")
    skew = max(abs(K[0, 1]), abs(K[1, 0]))
    if skew > 1e-6 * min(K[0, 0], K[1, 1]):
        raise UserError(
            f"{where}: K has a skew of {skew:g} pixels, {expected}: "
            "calibrate without skew, or resample the images"
        )


def _check_pose(where: str, viewmat: np.ndarray) -> None:
    """A rigid motion within some distance of the origin."""
    turn = viewmat[:3, :3]
    if abs(turn).max() > 2:  # the product below could overflow
        raise UserError(f"{where}: viewmat's upper left 3x3 is no rotation")
    if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.linalg.det(turn) < 0:
        raise UserError(f"{where}: viewmat's upper left 3x3 is no rotation")
    if not np.allclose(viewmat[3], [0, 0, 0, 1]):
        raise UserError(f"{where}: viewmat's last row must be 0 0 0 1")
    if abs(viewmat[:3, 3]).max() > FARTHEST:
        raise UserError(
            f"{where}: viewmat's translation is {abs(viewmat[:3, 3]).max():g} m, expected at most "
            f"{FARTHEST:g}: convert it to metres"
        )


def _array(where: str, entry: dict[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(entry[key], np.float64)
    except KeyError:
        raise UserError(f"{where}: lacks {key}") from None
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where}: {key} is not numbers") from None
    if array.shape != shape:
        raise UserError(f"{where}: {key} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise UserError(f"{where}: {key} holds NaN or infinity, expected numbers")
    return array
