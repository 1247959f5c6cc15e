"""Dataset folders of GaussianAvatars and VHAP: transforms_*.json beside images.

<folder>/transforms.json, or transforms_train.json, transforms_val.json, transforms_test.json
<folder>/images/<timestep>_<camera>.png      or ../<sequence folder>/images/..., as the files say

Every frame says file_path, timestep_index, camera_index, transform_matrix (camera to world, OpenGL
axes: y up, looking along -z), w, h and fl_x fl_y cx cy (or camera_angle_x); flame_param_path is
the npz of its timestep's FLAME parameters. The exporter moves the world of each sequence to its
mean head; that shift is taken back, so that cameras stand still.

Written from the format's published reader and writer; no such folder was at hand.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar.base.errors import UserError
from avatar.data.cameras import VERSION, Cameras
from pipeline.capture.calibration.transforms import STILL, camera_of, entry_of, pose, same_optics
from pipeline.capture.clip import LAST_NUMBER, Clip
from pipeline.capture.foreign import clean, read_object
from pipeline.capture.layouts.headsplat import CAMERAS_FILE, absent_clips
from pipeline.capture.lens import check_model
from pipeline.capture.model import Capture, FlameTracks

WHOLE = "transforms.json"
PARTS = ("transforms_train.json", "transforms_val.json", "transforms_test.json")


def matches(folder: Path) -> bool:
    """Whether there is a transforms file (and no calibration of ours, which would win)."""
    return not (folder / CAMERAS_FILE).exists() and any(
        (folder / name).exists() for name in (WHOLE, *PARTS)
    )


def read(folder: Path, image_fps: float) -> Capture:
    """Read a dataset folder; raises as `pipeline.capture.read.read_capture`."""
    frames = _frames(folder)
    images: dict[tuple[str, str], dict[int, Path]] = defaultdict(dict)
    tracks: dict[str, dict[int, Path]] = defaultdict(dict)
    entries: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for frame in frames:
        path, timestep = _image(folder, frame), _timestep(folder, frame)
        check_model(frame, f"{folder}: {frame['file_path']!r}")
        sequence, camera = _sequence(folder, path), camera_of(frame, path)
        if images[sequence, camera].setdefault(timestep, path) != path:
            raise UserError(f"{folder}: timestep {timestep} of camera {camera!r} is listed twice")
        if track := _track(folder, frame):
            tracks[sequence][timestep] = track
        same = entries[sequence].setdefault(camera, frame)
        if not np.allclose(pose(same, folder), pose(frame, folder), atol=STILL):
            raise UserError(f"{folder}: camera {camera!r} moves: only cameras at rest are read")
        if not same_optics(same, frame):
            raise UserError(f"{folder}: camera {camera!r} changes its lens: expected one a camera")
    first = {name: min(t for (s, _), ts in images.items() if s == name for t in ts)
             for name in entries}  # fmt: skip
    clips = [
        Clip(
            sequence,
            camera,
            next(iter(found.values())).parent,
            image_fps,
            tuple((number - first[sequence], path) for number, path in sorted(found.items())),
        )
        for (sequence, camera), found in sorted(images.items())
    ]
    cameras, worlds = _cameras(folder, entries)
    files: dict[str, Path | dict[int, Path]] = {
        sequence: {timestep - first[sequence]: path for timestep, path in found.items()}
        for sequence, found in tracks.items()
    }
    return Capture(
        folder,
        clips,
        {},
        cameras,
        flame=FlameTracks(files, worlds) if files else None,
        layout="GaussianAvatars/VHAP",
        remarks=_remarks(folder, frames) + absent_clips(clips),
    )


def _frames(folder: Path) -> list[dict[str, Any]]:
    names = [name for name in PARTS if (folder / name).exists()] or [WHOLE]
    frames = []
    for name in names:
        value = read_object(folder / name, "a transforms file")
        listed = value.get("frames")
        if not isinstance(listed, list) or not all(isinstance(frame, dict) for frame in listed):
            raise UserError(f"{folder / name}: expected a list 'frames': export it again")
        shared = {key: entry for key, entry in value.items() if key != "frames"}
        frames += [shared | frame | {"part": name} for frame in listed]
    if not frames:
        raise UserError(f"{folder}: its transforms files list no frame: export it again")
    return frames


def _timestep(folder: Path, frame: dict[str, Any]) -> int:
    timestep = frame.get("timestep_index")
    if not isinstance(timestep, int):
        raise UserError(f"{folder}: a frame lacks timestep_index: expected a moving head")
    if not 0 <= timestep <= LAST_NUMBER:
        raise UserError(
            f"{folder}: timestep_index {timestep} is not from 0 to {LAST_NUMBER}: number the "
            "frames of a sequence one after another"
        )
    return timestep


def _image(folder: Path, frame: dict[str, Any]) -> Path:
    """The frame's file."""
    name = frame.get("file_path")
    if not isinstance(name, str) or "\0" in name:
        raise UserError(f"{folder}: a frame lacks file_path: export it again")
    path = _inside(folder, name if Path(name).suffix else f"{name}.png", "file_path")
    if not path.is_file():
        raise UserError(f"{folder}: file_path {name!r} does not exist: copy the images too")
    return path


def _track(folder: Path, frame: dict[str, Any]) -> Path | None:
    """The file of the frame's FLAME parameters, where there is one."""
    name = frame.get("flame_param_path")
    if not isinstance(name, str) or "\0" in name:
        return None
    path = _inside(folder, name, "flame_param_path")
    return path if path.is_file() else None


def _inside(folder: Path, name: str, key: str) -> Path:
    """A path that a frame names: it may lie in a folder beside, but nowhere else."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve().parent):
        raise UserError(
            f"{folder}: {key} {name!r} leads out of the dataset's folder: put the files "
            "beside its transforms file"
        )
    return path


def _sequence(folder: Path, path: Path) -> str:
    """Images of a sequence lie in `<sequence>/images`, or in the dataset's own folder."""
    home = path.parent.parent
    inside = home == folder.resolve() or path.parent == folder.resolve()
    return "main" if inside else clean(home.name)


def _cameras(
    folder: Path, entries: dict[str, dict[str, dict[str, Any]]]
) -> tuple[Cameras, dict[str, Float[np.ndarray, "4 4"]]]:
    """One pose for every camera, in the world of the first sequence; the way there from each."""
    poses: dict[str, np.ndarray] = {}
    worlds: dict[str, np.ndarray] = {}
    cameras: dict[str, dict[str, Any]] = {}
    for sequence, frames in sorted(entries.items()):
        own = {camera: pose(frame, folder) for camera, frame in frames.items()}
        shared = sorted(set(own) & set(poses))
        to_world: np.ndarray = np.eye(4)
        if shared:
            to_world = poses[shared[0]] @ np.linalg.inv(own[shared[0]])
        elif poses:
            raise UserError(f"{folder}: sequence {sequence} shares no camera with the others")
        worlds[sequence] = to_world
        for camera, matrix in own.items():
            placed = to_world @ matrix
            if not np.allclose(poses.setdefault(camera, placed), placed, atol=STILL):
                raise UserError(
                    f"{folder}: camera {camera!r} stands elsewhere in sequence {sequence}: "
                    "give sequences of one set-up"
                )
            viewmat = np.linalg.inv(poses[camera])
            cameras.setdefault(camera, entry_of(frames[camera], viewmat, folder))
    value = {"version": VERSION, "units": "m", "cameras": cameras}
    return Cameras.from_json(value, folder), worlds


def _remarks(folder: Path, frames: list[dict[str, Any]]) -> list[str]:
    remarks = []
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for frame in frames:
        parts[frame["part"]].append(frame)
    held = {_sequence(folder, _image(folder, frame)) for frame in parts.get(PARTS[2], [])}
    seen = {camera_of(frame, Path()) for frame in parts.get(PARTS[1], [])}
    if held or seen:
        remarks.append(
            f"its own split holds out sequence {', '.join(sorted(held)) or 'none'} and camera "
            f"{', '.join(sorted(seen)) or 'none'}: to keep it, set pack.split"
        )
    if any("fg_mask_path" in frame for frame in frames):
        remarks.append("its masks are not used: the matte is made anew")
    return remarks
