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

from avatar.base.errors import UserError
from pipeline import media
from pipeline.capture import images
from pipeline.capture.calibration.nersemble import read_cameras
from pipeline.capture.clip import Clip
from pipeline.capture.colour import ColourCorrection
from pipeline.capture.foreign import clean, read_object
from pipeline.capture.layouts.headsplat import absent_clips, entries
from pipeline.capture.model import Capture, FlameTracks

PARAMS = Path("calibration") / "camera_params.json"
COLOURS = Path("calibration") / "color_calibration.json"
BACKGROUND = "BACKGROUND"
TRACKING = Path("tracking")
TRACKS, OLD_TRACKS = "flame2023_tracking_v2.npz", "flame2023_tracking.npz"
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
