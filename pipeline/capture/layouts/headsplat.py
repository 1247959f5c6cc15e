"""The layout of headsplat.

captures/<subject>/<any name>.mp4              one clip: sequence `main`, camera `0`
captures/<subject>/<sequence>/cam_<id>.mp4     a clip for each sequence and camera
captures/<subject>/<sequence>/cam_<id>/NNNNNN.png   or a folder of numbered images (.png, .jpg)
captures/<subject>/<sequence>/cam_<id>/cutout/NNNNNN.png   of an exported dataset, else image/
captures/<subject>/plates/cam_<id>.png         optional: the empty scene (.png, .jpg)
captures/<subject>/cameras.json                needed where there are several cameras
captures/<subject>/params.npz                  optional: tracks (see pipeline.track.external)
"""

import logging
from pathlib import Path

from avatar.base import names
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from pipeline import media
from pipeline.capture import images
from pipeline.capture.clip import Clip
from pipeline.capture.clutter import is_clutter
from pipeline.capture.model import PREFIX, Capture

CAMERAS_FILE = "cameras.json"
PARAMS_FILE = "params.npz"
PLATES = "plates"
EXPORTED = ("cutout", "image")  # folders of `dataset export`, the first is taken

log = logging.getLogger(__name__)


def matches(folder: Path) -> bool:
    """Every folder may be one of ours."""
    return folder.is_dir()


def read(folder: Path, image_fps: float) -> Capture:
    """Read a folder of this layout; raises as `pipeline.capture.read.read_capture`."""
    folders = [p for p in entries(folder) if p.is_dir() and p.name != PLATES]
    ours = (CAMERAS_FILE, PARAMS_FILE)
    others = [p for p in entries(folder) if not p.is_dir() and p.name not in ours]
    known = [p for p in others if p.suffix.lower() in media.SUFFIXES]
    videos = known or others
    if folders and known:
        raise UserError(
            f"{folder} holds both {known[0].name} and the folder {folders[0].name}: "
            "keep one video alone, or one folder a sequence with cam_<id>.mp4 inside"
        )
    if folders:
        clips = [clip for sequence in folders for clip in _sequence(sequence, image_fps)]
    elif len(videos) == 1:
        clips = [Clip("main", "0", videos[0])]
    else:
        found = ", ".join(p.name for p in videos[:4]) or "nothing"
        raise UserError(
            f"{folder}: expected exactly one video, or folders <sequence>/cam_<id>.mp4; "
            f"found {found}"
        )
    if not clips:
        raise UserError(f"{folder}: no <sequence>/cam_<id>.mp4 found in its folders: see README.md")
    ids = sorted({clip.camera for clip in clips})
    remarks = absent_clips(clips)
    cameras = _cameras(folder, ids, remarks)
    return Capture(folder, clips, _plates(folder / PLATES, ids), cameras, remarks=remarks)


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, without what other programs leave there."""
    return sorted(path for path in folder.iterdir() if not is_clutter(path.name))


def absent_clips(clips: list[Clip]) -> list[str]:
    """A sentence for every sequence that lacks a camera which another one has."""
    ids = {clip.camera for clip in clips}
    sequences: dict[str, set[str]] = {}
    for clip in clips:
        sequences.setdefault(clip.sequence, set()).add(clip.camera)
    return [
        f"sequence {sequence} has no clip of camera {', '.join(sorted(ids - found))}"
        for sequence, found in sequences.items()
        if found != ids
    ]


def _sequence(folder: Path, image_fps: float) -> list[Clip]:
    names.check_name(folder.name, "sequence")
    clips: dict[str, Clip] = {}
    for entry in entries(folder):
        if not (entry.is_dir() or entry.suffix.lower() in media.SUFFIXES):
            log.warning("%s is ignored: expected cam_<id>.mp4 or a folder cam_<id>", entry)
            continue
        camera = _camera_of(entry)
        if camera in clips:
            raise UserError(
                f"{folder}: {clips[camera].source.name} and {entry.name} are both camera "
                f"{camera!r}: keep one"
            )
        clips[camera] = Clip(folder.name, camera, _source(entry), image_fps)
    return [clips[camera] for camera in sorted(clips)]


def _source(entry: Path) -> Path:
    """A video, or the folder of the images: of an exported dataset that of its cut-outs."""
    for name in EXPORTED:
        if (entry / name).is_dir():
            return entry / name
    return entry


def _camera_of(entry: Path) -> str:
    name = entry.name if entry.is_dir() else entry.stem
    if not name.startswith(PREFIX):
        raise UserError(f"{entry}: expected the name cam_<id>{entry.suffix}: rename it")
    return names.check_name(name.removeprefix(PREFIX), "camera")


def _plates(folder: Path, ids: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    plates: dict[str, Path] = {}
    for path in entries(folder):
        if path.suffix.lower() not in images.SUFFIXES:
            log.warning("%s is ignored: expected cam_<id>.png or .jpg", path)
            continue
        camera = _camera_of(path)
        if camera not in ids:
            raise UserError(f"{path}: no clip of camera {camera!r}: rename the plate")
        if camera in plates:
            raise UserError(f"{folder}: two plates of camera {camera!r}: keep one")
        plates[camera] = path
    return plates


def _cameras(folder: Path, ids: list[str], remarks: list[str]) -> Cameras | None:
    file = folder / CAMERAS_FILE
    if not file.exists():
        if len(ids) > 1:
            raise UserError(
                f"{folder} has {len(ids)} cameras and no {CAMERAS_FILE}: "
                "add their calibration (headsplat calibrate), or keep one camera"
            )
        return None
    if not file.is_file():
        raise UserError(f"{file} is not a plain file: expected the cameras' calibration")
    cameras = Cameras.load(file)
    missing = sorted(set(ids) - set(cameras.ids))
    if missing:
        raise UserError(f"{file} lacks camera {missing[0]!r}, which has clips: add it")
    unused = sorted(set(cameras.ids) - set(ids))
    if unused:
        remarks.append(
            f"{CAMERAS_FILE} lists {', '.join(unused)} without a clip: left out; "
            "add its video or remove it"
        )
    return cameras.select(ids)
