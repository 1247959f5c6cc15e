"""What crosses between the worker and its caller: what a file holds, which part is wanted."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from avatar.base.errors import UserError

SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".mpg", ".mpeg", ".mxf"}
)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        width, height: pixels as shown, after rotation.
        times: presentation time of every frame, seconds, ascending.
        codec, pixel_format: FFmpeg's names.
        matrix: signs of the display matrix, as (x, y) as decoded are multiplied by it.
        remarks: what a user should know, one sentence each.
    """

    width: int
    height: int
    times: Float[np.ndarray, "N"]
    codec: str
    pixel_format: str
    matrix: list[list[int]]
    remarks: list[str]

    @property
    def fps(self) -> float:
        """Average frames per second, from the presentation times."""
        span = float(self.times[-1] - self.times[0])
        return (len(self.times) - 1) / span if span > 0 else 1.0

    @property
    def turned(self) -> bool:
        """Whether a display matrix turns or mirrors the frames."""
        return self.matrix != [[1, 0], [0, 1]]

    @property
    def turn(self) -> str:
        """The display matrix in words."""
        (a, b), (c, d) = self.matrix
        mirrored = a * d - b * c < 0
        degrees = {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[(a, b)]
        return f"{degrees}" + (" mirrored" if mirrored else "")

    def to_json(self) -> dict[str, Any]:
        """For the way between processes."""
        return asdict(self) | {"times": self.times.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "VideoInfo":
        """The way back."""
        return cls(**value | {"times": np.array(value["times"])})


@dataclass(frozen=True)
class Window:
    """The part of a clip's frames that is kept.

    Attributes:
        size: width and height that every frame must have.
        box: x, y, width, height of the part, pixels.
    """

    size: tuple[int, int]
    box: tuple[int, int, int, int]

    def cut(self, image: UInt8[np.ndarray, "H W 3"], source: str) -> UInt8[np.ndarray, "h w 3"]:
        """The part of one frame, as a view.

        Raises:
            UserError: the frame has another size; `source` names the file.
        """
        self.check((image.shape[1], image.shape[0]), source)
        x, y, width, height = self.box
        return image[y : y + height, x : x + width]

    def check(self, size: tuple[int, int], source: str) -> None:
        """Raise UserError where a frame's width and height are not `size`."""
        if size != self.size:
            found, expected = ("{} x {}".format(*pair) for pair in (size, self.size))
            raise UserError(
                f"{source}: a frame is {found}, expected {expected} as before (or as "
                "the calibration says): convert it to one size"
            )
