"""What a capture folder holds: sequences, cameras, clean plates, calibration.

captures/<subject>.mp4                         one clip: sequence `main`, camera `0`
captures/<subject>/<any name>.mp4              the same
captures/<subject>/<sequence>/cam_<id>.mp4     a clip for each sequence and camera
captures/<subject>/<sequence>/cam_<id>/NNNNNN.png   or a folder of numbered images
captures/<subject>/plates/cam_<id>.png         optional: the empty scene
captures/<subject>/cameras.json                needed where there are several cameras
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar import names
from avatar.cameras import Cameras
from avatar.errors import UserError
from pipeline import media

CAMERAS_FILE = "cameras.json"
PLATES = "plates"
_PREFIX = "cam_"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """The frames of one camera in one sequence: a video file or a folder of PNG images.

    Attributes:
        image_fps: frames per second of numbered images; a video has its own times.
    """

    sequence: str
    camera: str
    source: Path
    image_fps: float = 30.0

    def times(self) -> Float[np.ndarray, "N"]:
        """Times (s, ascending, the first is 0) of the frames on the clip's own clock."""
        times = self._times()
        return times - times[0]

    def frames(self) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
        """Time (s, as in `times`) and RGB image of every frame.

        Raises:
            UserError: as `media.read_video`, or an image that cannot be read.
        """
        start = self._times()[0]
        if self.source.is_dir():
            for number, path in self._images():
                yield number / self.image_fps - start, read_image(path)
        else:
            for time, image in media.read_video(self.source):
                yield time - start, image

    def sample(self, count: int) -> list[UInt8[np.ndarray, "H W 3"]]:
        """About `count` RGB frames spread over the clip."""
        if not self.source.is_dir():
            return media.sample_frames(self.source, count)
        paths = [path for _, path in self._images()]
        return [read_image(path) for path in paths[:: max(1, len(paths) // count)]]

    def _times(self) -> Float[np.ndarray, "N"]:
        if self.source.is_dir():
            return np.array([number for number, _ in self._images()]) / self.image_fps
        return media.frame_times(self.source)

    def _images(self) -> list[tuple[int, Path]]:
        found = sorted(
            (int(path.stem), path)
            for path in self.source.glob("*.png")
            if path.stem.isdecimal() and path.stem.isascii()
        )
        if not found:
            raise UserError(f"{self.source} holds no numbered images: expected 000000.png, ...")
        return found


@dataclass(frozen=True)
class Capture:
    """A capture as it was understood.

    Attributes:
        path: the folder or file.
        clips: by sequence, then camera, both in lexicographic order.
        plates: camera to the image of its empty scene.
        cameras: calibration of exactly the cameras that have clips, or None.
    """

    path: Path
    clips: list[Clip]
    plates: dict[str, Path]
    cameras: Cameras | None

    @property
    def camera_ids(self) -> list[str]:
        """Names of the cameras, lexicographic."""
        return sorted({clip.camera for clip in self.clips})

    @property
    def sequences(self) -> list[str]:
        """Names of the sequences, lexicographic."""
        return sorted({clip.sequence for clip in self.clips})


def read_capture(path: str | Path, image_fps: float = 30.0) -> Capture:
    """Understand a capture folder, or a video file alone.

    Args:
        path: see the top of this file.
        image_fps: frames per second of folders of numbered images.
    Raises:
        UserError: absent, empty, laid out otherwise, a bad name, a plate or calibration that does
            not fit, or several cameras without calibration.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"capture {path} does not exist: put a video or a folder there")
    if not path.is_dir():
        return Capture(path, [Clip("main", "0", path)], {}, None)
    folders = [p for p in _entries(path) if p.is_dir() and p.name != PLATES]
    videos = [p for p in _entries(path) if not p.is_dir() and p.name != CAMERAS_FILE]
    known = [p for p in videos if p.suffix.lower() in media.SUFFIXES]
    videos = known or videos
    if folders and known:
        raise UserError(
            f"{path} holds both {known[0].name} and the folder {folders[0].name}: "
            "keep one video alone, or one folder a sequence with cam_<id>.mp4 inside"
        )
    if folders:
        clips = [clip for folder in folders for clip in _sequence(folder, image_fps)]
    elif len(videos) == 1:
        clips = [Clip("main", "0", videos[0])]
    else:
        found = ", ".join(p.name for p in videos[:4]) or "nothing"
        raise UserError(
            f"{path}: expected exactly one video, or folders <sequence>/cam_<id>.mp4; found {found}"
        )
    if not clips:
        raise UserError(f"{path}: no <sequence>/cam_<id>.mp4 found in its folders: see README.md")
    ids = sorted({clip.camera for clip in clips})
    return Capture(path, clips, _plates(path / PLATES, ids), _cameras(path, ids))


def _entries(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "README.md"
    )


def _sequence(folder: Path, image_fps: float) -> list[Clip]:
    names.check_name(folder.name, "sequence")
    clips: dict[str, Clip] = {}
    for entry in _entries(folder):
        if not (entry.is_dir() or entry.suffix.lower() in media.SUFFIXES):
            log.warning("%s is ignored: expected cam_<id>.mp4 or a folder cam_<id>", entry)
            continue
        camera = _camera_of(entry)
        if camera in clips:
            raise UserError(
                f"{folder}: {clips[camera].source.name} and {entry.name} are both camera "
                f"{camera!r}: keep one"
            )
        clips[camera] = Clip(folder.name, camera, entry, image_fps)
    return [clips[camera] for camera in sorted(clips)]


def _camera_of(entry: Path) -> str:
    name = entry.name if entry.is_dir() else entry.stem
    if not name.startswith(_PREFIX):
        raise UserError(f"{entry}: expected the name cam_<id>{entry.suffix}: rename it")
    return names.check_name(name.removeprefix(_PREFIX), "camera")


def _plates(folder: Path, ids: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    plates = {_camera_of(path): path for path in _entries(folder) if path.suffix == ".png"}
    unknown = sorted(set(plates) - set(ids))
    if unknown:
        raise UserError(f"{plates[unknown[0]]}: no clip of camera {unknown[0]!r}: rename the plate")
    return plates


def _cameras(path: Path, ids: list[str]) -> Cameras | None:
    file = path / CAMERAS_FILE
    if not file.exists():
        if len(ids) > 1:
            raise UserError(
                f"{path} has {len(ids)} cameras and no {CAMERAS_FILE}: "
                "add their calibration, or keep one camera"
            )
        return None
    cameras = Cameras.load(file)
    missing = sorted(set(ids) - set(cameras.ids))
    if missing:
        raise UserError(f"{file} lacks camera {missing[0]!r}, which has clips: add it")
    chosen = [cameras.ids.index(name) for name in ids]
    return Cameras(
        ids,
        cameras.Ks[chosen],
        cameras.viewmats[chosen],
        cameras.sizes[chosen],
        cameras.distortion[chosen],
        cameras.time_offsets[chosen],
    )


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Read an image as RGB.

    Raises:
        UserError: not an image.
    """
    # Read by Python: OpenCV would print its own line and cannot open every name.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise UserError(f"{path} is not an image that can be read: replace it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
