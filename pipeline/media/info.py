"""What a video file holds, in numbers: crosses from the worker to its caller."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


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
