"""The settings of ingest."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from avatar.base.settings import NO_OTHER_KEYS, NonNegative, Pixels, Positive

Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


@dataclass
class IngestSettings:
    """The `ingest` part of the configuration.

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

    __pydantic_config__ = NO_OTHER_KEYS

    size: Pixels = 802
    size_mono: Pixels = 512
    start: NonNegative = 0.0
    duration: Positive | None = None
    max_frames: Annotated[int, Field(ge=2, le=10**9)] | None = None
    fps: Rate | None = None
    image_fps: Rate = 30.0
    align: Literal["time", "number"] = "time"
