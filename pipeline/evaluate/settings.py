"""The settings of evaluate."""

from dataclasses import dataclass

from avatar.base.settings import NO_OTHER_KEYS, PositiveInt, Share
from avatar.losses.settings import LpipsSettings


@dataclass(frozen=True)
class EvaluateSettings:
    """The `evaluate` part of the configuration.

    Attributes:
        background: grey level behind truth and render; 1 is white.
        refined: whether the held-out timesteps are measured again with parameters refined through
            the finished avatar (protocol self_reenactment_refined).
        costly_frames: frames of each protocol, evenly spread, on which FLIP, MS-SSIM, LPIPS and the
            landmarks are measured.
        lpips: the network of LPIPS, a file of yours: {weights: FILE, sha256: ..., backbone: vgg};
            without it there is no LPIPS.
        video_frames: frames of comparison.mp4 and protocol, at most.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    background: Share = 1.0
    refined: bool = True
    costly_frames: PositiveInt = 50
    lpips: LpipsSettings | None = None
    video_frames: PositiveInt = 300
