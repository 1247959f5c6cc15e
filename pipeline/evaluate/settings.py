"""The settings of evaluate."""

from dataclasses import dataclass

from avatar.base.settings import NO_OTHER_KEYS, PositiveInt, Share


@dataclass(frozen=True)
class EvaluateSettings:
    """The `evaluate` part of the configuration.

    Attributes:
        background: grey level behind truth and render; 1 is white.
        refined: whether the held-out timesteps are measured again with parameters refined through
            the finished avatar (protocol self_reenactment_refined).
        video_frames: frames of comparison.mp4 and protocol, at most.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    background: Share = 1.0
    refined: bool = True
    video_frames: PositiveInt = 300
