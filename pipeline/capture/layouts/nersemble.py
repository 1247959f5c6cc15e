"""NeRSemble: a participant's folder of the dataset (version 2) or of its benchmark.

<participant>/calibration/camera_params.json       world_2_cam per serial, OpenCV axes, metres;
                                                   intrinsics: one matrix for all cameras, for
                                                   frames of 2200 x 3208, or one per serial for the
                                                   frames as they are (benchmark)
<participant>/calibration/color_calibration.json   optional: a colour matrix per serial
<participant>/sequences/<name>/images/cam_<serial>.mp4     or directly in <name>/
<participant>/sequences/BACKGROUND/image_<serial>.jpg      optional: the empty scene
<participant>/sequences/<name>/tracking/flame2023_tracking_v2.npz   optional: FLAME tracks
                                                   (benchmark); version 1, without _v2, if alone

Written from the published description and reader of the dataset, not from its files: these are
given out on request only, and none was at hand.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import VERSION, Cameras
from pipeline import media
from pipeline.capture import images
from pipeline.capture.colour import ColourCorrection
from pipeline.capture.layouts.headsplat import absent_clips, entries
from pipeline.capture.lens import check_model
from pipeline.capture.model import Capture, Clip, FlameTracks

PARAMS = Path("calibration") / "camera_params.json"
COLOURS = Path("calibration") / "color_calibration.json"
BACKGROUND = "BACKGROUND"
TRACKING = Path("tracking")
TRACKS, OLD_TRACKS = "flame2023_tracking_v2.npz", "flame2023_tracking.npz"
CALIBRATED_SIZE = (2200, 3208)  # of the one matrix that all cameras share
_NAME = re.compile(r"(?:cam|image)_([A-Za-z0-9_-]+)")


def matches(folder: Path) -> bool:
    """Whether there are sequences and a calibration."""
    return (folder / "sequences").is_dir() and (folder / PARAMS).exists()


def read(folder: Path, image_fps: float) -> Capture:
    """Read a participant; raises as `pipeline.capture.read.read_capture`."""
    remarks: list[str] = []
    clips: list[Clip] = []
    taken: dict[str, str] = {}
    tracks: dict[str, Path | dict[int, Path]] = {}
    for sequence in entries(folder / "sequences"):
        if not sequence.is_dir() or sequence.name == BACKGROUND:
            continue
        name = clean(sequence.name)
        if taken.setdefault(name, sequence.name) != sequence.name:
            raise UserError(f"{sequence}: its name and {taken[name]!r} both become {name!r}")
        found = _videos(sequence)
        clips += [Clip(name, serial, path) for serial, path in sorted(found.items())]
        if found and (track := _track(sequence, name, remarks)):
            tracks[name] = track
        if (sequence / "alpha_maps").is_dir():
            remarks.append(f"sequence {name} comes with alpha maps: the matte is made anew")
        if not found:
            remarks.append(f"sequence {name} has no cam_<serial>.mp4: left out")
    if not clips:
        raise UserError(f"{folder}: no sequences/<name>/images/cam_<serial>.mp4: download videos")
    clips.sort(key=lambda clip: (clip.sequence, clip.camera))
    ids = sorted({clip.camera for clip in clips})
    return Capture(
        folder,
        clips,
        _by_serial(entries(folder / "sequences" / BACKGROUND), images.SUFFIXES, ids)
        if (folder / "sequences" / BACKGROUND).is_dir()
        else {},
        read_cameras(folder / PARAMS, {serial: _size(clips, serial) for serial in ids}),
        _colours(folder / COLOURS, ids, remarks),
        flame=FlameTracks(tracks) if tracks else None,
        layout="NeRSemble",
        remarks=remarks + absent_clips(clips),
    )


def clean(name: str) -> str:
    """A name by our rules: NeRSemble's have '+' in them."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name).lstrip("_-")[:64] or "main"


def read_cameras(path: Path, sizes: dict[str, tuple[int, int]]) -> Cameras:
    """Read `camera_params.json`.

    Args:
        sizes: width and height in pixels of the frames of every camera wanted.
    Raises:
        UserError: not such a file, a camera is missing, or the frames have another aspect ratio
            than the calibration.
    """
    params = read_object(path, "a NeRSemble calibration")
    check_model(params, str(path))
    poses, intrinsics = params.get("world_2_cam"), params.get("intrinsics")
    if not isinstance(poses, dict) or intrinsics is None:
        raise UserError(f"{path}: expected 'world_2_cam' and 'intrinsics': download it again")
    cameras = {}
    for serial, (width, height) in sizes.items():
        shared = not isinstance(intrinsics, dict)
        if serial not in poses or not (shared or serial in intrinsics):
            raise UserError(f"{path} lacks camera {serial!r}, which has clips: download it again")
        K = intrinsics if shared else intrinsics[serial]
        cameras[serial] = {
            "width": width,
            "height": height,
            "K": _scaled(K, serial, (width, height), path) if shared else K,
            "viewmat": poses[serial],
        }
    return Cameras.from_json({"version": VERSION, "units": "m", "cameras": cameras}, path)


def _scaled(K: Any, serial: str, size: tuple[int, int], path: Path) -> Any:
    """The shared matrix for frames that are smaller than those it was made for."""
    scale = size[0] / CALIBRATED_SIZE[0]
    if abs(size[1] - scale * CALIBRATED_SIZE[1]) > 2:
        expected = "{} x {}".format(*CALIBRATED_SIZE)
        raise UserError(
            f"{path}: camera {serial!r} has frames of {size[0]} x {size[1]}, the calibration is "
            f"for {expected} or a whole fraction of it: give uncropped videos"
        )
    try:
        return (np.diag([scale, scale, 1]) @ np.asarray(K, np.float64)).tolist()
    except (TypeError, ValueError):
        return K  # Cameras.from_json reports the error


def read_object(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a plain file; `what` names it in messages."""
    if not path.is_file():
        raise UserError(f"{path} is not a plain file: expected {what}")
    try:
        value = files.read_json(path)
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(f"{path}: not readable as JSON ({problem})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected {what}, a JSON object")
    return value


def _track(sequence: Path, name: str, remarks: list[str]) -> Path | None:
    """The FLAME tracks of a sequence; version 2 replaces version 1."""
    for file in (TRACKS, OLD_TRACKS):
        path = sequence / TRACKING / file
        if path.is_file():
            if file == OLD_TRACKS:
                remarks.append(
                    f"sequence {name} has {OLD_TRACKS} alone, which {TRACKS} supersedes: "
                    "download version 2"
                )
            return path
    return None


def _videos(sequence: Path) -> dict[str, Path]:
    folder = sequence / "images"
    return _by_serial(entries(folder if folder.is_dir() else sequence), media.SUFFIXES)


def _by_serial(
    paths: Iterable[Path], suffixes: frozenset[str], ids: list[str] | None = None
) -> dict[str, Path]:
    found = {}
    for path in paths:
        name = _NAME.fullmatch(path.stem)
        if path.suffix.lower() in suffixes and name and (ids is None or name[1] in ids):
            found[name[1]] = path
    return found


def _size(clips: list[Clip], serial: str) -> tuple[int, int]:
    info = next(clip for clip in clips if clip.camera == serial).info()
    return info.width, info.height


def _colours(path: Path, ids: list[str], remarks: list[str]) -> dict[str, ColourCorrection]:
    if not path.exists():
        return {}
    matrices = read_object(path, "a colour matrix per camera")
    missing = [serial for serial in ids if serial not in matrices]
    if missing:
        remarks.append(f"{path.name} lacks {', '.join(missing)}: colours left as they are there")
    return {
        serial: ColourCorrection.read(matrices[serial], f"{path}: camera {serial!r}")
        for serial in ids
        if serial in matrices
    }
