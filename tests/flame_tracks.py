"""FLAME's parameters over time, written as other programs write them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

Moves = dict[str, np.ndarray]


def moves(count: int, seed: int = 0) -> Moves:
    """A random person (shape) and N frames of large random motion, our names."""
    rng = np.random.default_rng(seed)

    def normal(deviation: float, *size: int) -> np.ndarray:
        return deviation * rng.normal(size=size)

    return {
        "shape": normal(1.0, 300), "expr": normal(1.0, count, 100),
        "rotation": normal(0.8, count, 3), "neck_pose": normal(0.3, count, 3),
        "jaw_pose": normal(0.2, count, 3), "eyes_pose": normal(0.2, count, 6),
        "translation": normal(0.3, count, 3),
    }  # fmt: skip


def at(given: Moves, frame: int) -> dict[str, Any]:
    """One frame of moves, without its translation: as `flames.vertices` takes it."""
    posed = {name: array[frame] for name, array in given.items() if name != "shape"}
    del posed["translation"]
    return {"shape": given["shape"]} | posed


def write_avatars(path: Path, given: Moves, frames: list[int], **changed: Any) -> Path:
    """Some frames as GaussianAvatars and VHAP have them: one in a dataset, all beside an avatar."""
    rows = {name: array[frames] for name, array in given.items() if name != "shape"}
    return write(path, {"shape": given["shape"]} | rows | changed)


def write_benchmark(path: Path, given: Moves, scale: float, **changed: Any) -> Path:
    """A sequence as NeRSemble's benchmark has it; `rotation` are taken to be Euler angles."""
    rows = {
        "shape": given["shape"][None], "expression": given["expr"], "rotation": given["rotation"],
        "rotation_matrices": np.stack([euler(angles) for angles in given["rotation"]]),
        "translation": given["translation"], "jaw": given["jaw_pose"], "neck": given["neck_pose"],
        "eyes": given["eyes_pose"], "scale": np.array([[scale]]),
        "frames": np.arange(len(given["expr"])),
    }  # fmt: skip
    return write(path, rows | changed)


def write(path: Path, arrays: dict[str, Any]) -> Path:
    """The arrays that are not None, in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, **{n: np.float32(a) if np.asarray(a).dtype == float else a
                      for n, a in kept.items()})  # fmt: skip
    return path


def euler(angles: np.ndarray) -> np.ndarray:
    """About x, then about the turned y, then about the turned z: Rx Ry Rz, written out."""
    (a, b, c), (p, q, r) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, a, -p], [0, p, a]])
    about_y = np.array([[b, 0, q], [0, 1, 0], [-q, 0, b]])
    about_z = np.array([[c, -r, 0], [r, c, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def add_tracks(union: Path, sequences: dict[str, Moves], **changed: Any) -> None:
    """Give a folder of `hard_cases.transforms_folder` the parameters of all its frames."""
    for part in union.glob("transforms_*.json"):
        value = json.loads(part.read_text())
        for frame in value["frames"]:
            sequence = Path(frame["file_path"]).parts[1]
            number = int(Path(frame["file_path"]).stem.split("_")[0])
            frame["flame_param_path"] = f"../{sequence}/flame_param/{number:05d}.npz"
            path = union / frame["flame_param_path"]
            if not path.exists():
                write_avatars(path, sequences[sequence], [number], **changed)
        part.write_text(json.dumps(value))
