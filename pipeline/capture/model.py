"""What every layout of a capture is read into: clips, plates, cameras, colours."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from pipeline import media
from pipeline.capture import images
from pipeline.capture.colour import ColourCorrection

LAST_NUMBER = 10**9  # of numbered images
LONG_GAP = 3.0  # frames; longer gaps within a clip are reported
_ALPHA_SAMPLES = 8  # images of a clip that are read to see whether their alpha is used

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """The frames of one camera in one sequence: a video file or numbered images.

    Attributes:
        source: the video, or the folder of the images.
        image_fps: frames per second of numbered images; a video has its own times.
        images: number and file of each image, ascending; None: as they lie in the folder.
    """

    sequence: str
    camera: str
    source: Path
    image_fps: float = 30.0
    images: tuple[tuple[int, Path], ...] | None = None

    @property
    def is_video(self) -> bool:
        """Whether the clip is a video file."""
        return self.images is None and not self.source.is_dir()

    def info(self) -> media.VideoInfo:
        """Size, times and coding.

        Raises:
            UserError: as `media.probe`, or an image that cannot be read.
        """
        if self.is_video:
            return media.probe(self.source)
        numbered = self._numbered()
        height, width = images.read_image(numbered[0][1]).shape[:2]
        times = np.array([number for number, _ in numbered]) / self.image_fps
        kind = numbered[0][1].suffix.removeprefix(".").lower()
        return media.VideoInfo(width, height, times, kind, "rgb24", [[1, 0], [0, 1]], [])

    def times(self) -> Float[np.ndarray, "N"]:
        """Times (s, ascending) of the frames on the clip's own clock.

        The first is 0, except of images that a layout has numbered: their clock is the sequence's.
        """
        times = self._times()
        return times if self.images is not None else times - times[0]

    def numbers(self) -> Int[np.ndarray, "N"]:
        """What each frame of `times` is called: images by their number, a video's from 0."""
        if self.is_video:
            return np.arange(len(self._times()))
        return np.array([number for number, _ in self._numbered()])

    def frames(
        self,
        wanted: list[int] | None = None,
        window: media.Window | None = None,
        remark: Callable[[str], None] = log.warning,
    ) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Number (place in `times`) and RGB image of every frame that is wanted and whole.

        Args:
            wanted: numbers of the frames to read, ascending; None: all.
            window: the part of the frames to give; None: whole frames.
            remark: gets a line about damage.
        Raises:
            UserError: as `media.read_video`, or an image that cannot be read.
        """
        times = self._times()
        numbers = list(range(len(times))) if wanted is None else wanted
        if self.is_video:
            if numbers:
                seconds = times[numbers].tolist()
                for time, image in media.read_video(self.source, seconds, window, remark):
                    yield int(np.searchsorted(times, time - 1e-6)), image
            return
        paths = self.image_files()
        for number in numbers:
            image = images.read_image(paths[number])
            yield number, image if window is None else window.cut(image, str(self.source))

    def sample(self, count: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """About `count` RGB frames spread over the clip."""
        if self.is_video:
            yield from media.sample_frames(self.source, count)
            return
        paths = self.image_files()
        yield from map(images.read_image, paths[:: max(1, len(paths) // count)])

    def image_files(self) -> list[Path]:
        """The numbered images, in the order of `times`."""
        return [path for _, path in self._numbered()]

    def has_alpha(self) -> bool:
        """Whether the images bring a matte: an alpha channel that is not opaque in all samples."""
        if self.is_video:
            return False
        paths = self.image_files()
        if not images.may_have_alpha(paths[0]):
            return False
        samples = paths[:: -(-len(paths) // _ALPHA_SAMPLES)]
        alphas = (images.read_picture(path).alpha for path in samples)
        return any(alpha is not None and alpha.min() < 255 for alpha in alphas)

    def _times(self) -> Float[np.ndarray, "N"]:
        if self.is_video:
            return media.frame_times(self.source)
        return np.array([number for number, _ in self._numbered()]) / self.image_fps

    def _numbered(self) -> tuple[tuple[int, Path], ...]:
        if self.images is not None:
            return self.images
        found: dict[int, Path] = {}
        for path in sorted(self.source.iterdir()):
            if not (path.stem.isdecimal() and path.stem.isascii()):
                continue
            if path.suffix.lower() in images.SUFFIXES:
                if int(path.stem) > LAST_NUMBER:
                    raise UserError(
                        f"{path}: its number is above {LAST_NUMBER}: number images from 0"
                    )
                other = found.setdefault(int(path.stem), path)
                if other != path:
                    raise UserError(
                        f"{self.source}: {other.name} and {path.name} have the same number: "
                        "keep one"
                    )
        if not found:
            raise UserError(f"{self.source} holds no numbered images: expected 000000.png, ...")
        return tuple(sorted(found.items()))


@dataclass(frozen=True)
class FlameTracks:
    """Files of FLAME's parameters over time, made by another tracker.

    Attributes:
        files: sequence to one file with a row for every frame of its clips, or to the file of
            each frame by its number (`Clip.numbers`).
        worlds: sequence to the matrix that carries its own world to the cameras' world (a rigid
            motion, metres); the same world where there is none.
    """

    files: dict[str, Path | dict[int, Path]]
    worlds: dict[str, Float[np.ndarray, "4 4"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """A capture, whatever its layout.

    Attributes:
        path: the folder or file.
        clips: by sequence, then camera, both in lexicographic order.
        plates: camera to the image of its empty scene.
        cameras: calibration of exactly the cameras that have clips, or None.
        colours: camera to its colour correction, where there is one.
        params, flame: tracks that came with it, of headsplat and of FLAME, or None.
        layout: name of the layout, for people.
        remarks: what a user should know, one sentence each.
    """

    path: Path
    clips: list[Clip]
    plates: dict[str, Path]
    cameras: Cameras | None
    colours: dict[str, ColourCorrection] = field(default_factory=dict)
    params: Path | None = None
    flame: FlameTracks | None = None
    layout: str = "headsplat"
    remarks: list[str] = field(default_factory=list)

    @property
    def camera_ids(self) -> list[str]:
        """Names of the cameras, lexicographic."""
        return sorted({clip.camera for clip in self.clips})

    @property
    def sequences(self) -> list[str]:
        """Names of the sequences, lexicographic."""
        return sorted({clip.sequence for clip in self.clips})
