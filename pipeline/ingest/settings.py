"""The settings of ingest."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from avatar.base.errors import UserError


@dataclass
class IngestSettings:
    """What a user may set about ingest.

    Attributes:
        size: calibrated cameras: the longer side of a stored frame is at most this (pixels).
        size_mono: a single video: the longer side of a stored frame (pixels).
        start: seconds to leave out at the start of every sequence.
        duration: seconds to take of every sequence; null takes all.
        max_frames: timesteps to take of every sequence at most; null takes all.
        fps: frames per second to keep at most; null keeps all.
        image_fps: frames per second of clips that are folders of numbered images.
        align: which frames of several cameras belong together: those of the same `time` (after
            time_offset), or of the same `number` (cameras in step whose files' times are unfit).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: int = 802
    size_mono: int = 512
    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None
    fps: float | None = None
    image_fps: float = 30.0
    align: Literal["time", "number"] = "time"

    def __post_init__(self) -> None:
        for name in ("size", "size_mono", "duration", "max_frames", "fps", "image_fps"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"settings: ingest.{name} is {value}, expected more than 0")
