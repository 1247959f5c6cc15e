"""Layouts of other projects."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.hard_cases.case import case
from tests.hard_cases.clips import encode, pictures


def nersemble_folder(folder: Path, names: tuple[str, ...] = ("222200036", "222200037")) -> Path:
    """A participant in NeRSemble's layout, frames a fiftieth of the real size."""
    home = folder / "074"
    for sequence in ("EMO-1-shout+laugh", "EXP-2-eyes"):
        for serial in names:
            encode(home / f"sequences/{sequence}/images/cam_{serial}.mp4", pictures(4, 44, 64))
    background = home / "sequences/BACKGROUND"
    background.mkdir(parents=True)
    for serial in names:
        cv2.imwrite(str(background / f"image_{serial}.jpg"), pictures(1, 44, 64)[0])
    K = [[8200.0, 0, 1100], [0, 8200.0, 1604], [0, 0, 1]]
    params = {"intrinsics": K, "world_2_cam": {serial: np.eye(4).tolist() for serial in names}}
    colours = {serial: (1.1 * np.eye(3)).tolist() for serial in names}
    (home / "calibration").mkdir()
    (home / "calibration/camera_params.json").write_text(json.dumps(params))
    (home / "calibration/color_calibration.json").write_text(json.dumps(colours))
    return home


case("NeRSemble participant", "pass", quick=True)(nersemble_folder)


@case("NeRSemble: a serial without calibration", "error", "lacks camera '222200038'", quick=True)
def nersemble_uncalibrated(folder: Path) -> Path:
    home = nersemble_folder(folder)
    encode(home / "sequences/EXP-2-eyes/images/cam_222200038.mp4", pictures(4, 44, 64))
    return home


@case("NeRSemble: cropped videos", "error", "a whole fraction of it")
def nersemble_cropped(folder: Path) -> Path:
    home = nersemble_folder(folder)
    encode(home / "sequences/EMO-1-shout+laugh/images/cam_222200036.mp4", pictures(4, 64, 64))
    return home


@case("NeRSemble: a colour matrix of 3 x 6", "error", "expected a colour matrix")
def nersemble_colours(folder: Path) -> Path:
    home = nersemble_folder(folder)
    (home / "calibration/color_calibration.json").write_text(
        json.dumps({"222200036": np.zeros((3, 6)).tolist()})
    )
    return home


def transforms_folder(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Two exported sequences and their union, as GaussianAvatars and VHAP lay them out."""
    union = folder / "UNION2_074"
    union.mkdir()
    frames = []
    for shift, sequence in enumerate(("074_EMO-1", "074_EXP-2")):
        (folder / sequence / "images").mkdir(parents=True)
        for timestep in range(4):
            for index in range(2):
                name = f"images/{timestep:05d}_{index:02d}.png"
                cv2.imwrite(str(folder / sequence / name), pictures(1, first=timestep)[0])
                pose = np.eye(4)
                pose[:3, 3] = [0.1 * index + 0.01 * shift, 0, 1]
                frames.append(
                    {
                        "timestep_index": 4 * shift + timestep,
                        "camera_index": index,
                        "file_path": f"../{sequence}/{name}",
                        "transform_matrix": pose.tolist(),
                    }
                    | {"w": 64, "h": 48, "fl_x": 60, "fl_y": 60, "cx": 32, "cy": 24}
                )
    parts: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for frame in frames:
        test = frame["timestep_index"] >= 4
        parts["test" if test else ("val" if frame["camera_index"] else "train")].append(frame)
    frames[-1] |= changes or {}
    for part, listed in parts.items():
        (union / f"transforms_{part}.json").write_text(json.dumps({"frames": listed}))
    return union


def _transforms(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: transforms_folder(folder, changes)


case("GaussianAvatars dataset", "warn", "its own split holds out sequence 074_EXP-2", quick=True)(
    transforms_folder
)
case("GaussianAvatars: an image out of the folder", "error", "leads out of", quick=True)(
    _transforms(file_path="../../../../../../../etc/hostname")
)
case("GaussianAvatars: an absent image", "error", "does not exist")(
    _transforms(file_path="images/none.png")
)
case("GaussianAvatars: a camera that moves", "error", "moves: only cameras at rest")(
    _transforms(transform_matrix=np.diag([1.0, 1, 1, 1]).tolist())
)
case("GaussianAvatars: a singular pose", "error", "is no 4x4 pose")(
    _transforms(transform_matrix=np.zeros((4, 4)).tolist())
)
case("GaussianAvatars: a frame without timestep", "error", "lacks timestep_index")(
    _transforms(timestep_index=None)
)


@case("transforms.json that is no JSON", "error", "not readable as JSON")
def broken_transforms(folder: Path) -> Path:
    union = transforms_folder(folder)
    (union / "transforms_val.json").write_text("{")
    return union


case("GaussianAvatars: another lens model", "error", "is_fisheye True is not supported")(
    _transforms(is_fisheye=True)
)
case("GaussianAvatars: a timestep of 10^30", "error", "is not from 0 to 1000000000")(
    _transforms(timestep_index=10**30)
)
