"""The frames of one camera in one sequence: a video file or numbered images."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar.base.errors import UserError
from pipeline import media
from pipeline.capture import images

LAST_NUMBER = 10**9  # of numbered images
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
        pixels = "rgba" if self.has_alpha() else "rgb24"
        return media.VideoInfo(width, height, times, kind, pixels, [[1, 0], [0, 1]], [])

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
