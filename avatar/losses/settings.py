"""Settings of the loss. No torch here: command lines read them."""

from dataclasses import dataclass
from typing import Literal

from avatar.base.settings import NO_OTHER_KEYS, FilePath, NonNegative, Positive, Share

Backbone = Literal["vgg", "alex"]
Form = Literal["hinge", "max"]


@dataclass(frozen=True)
class LossWeights:
    """The loss, a sum of these terms."""

    __pydantic_config__ = NO_OTHER_KEYS
    ssim: Share = 0.2  # L1 has the rest, up to 1
    position: NonNegative = 0.01
    position_limit: Positive = 1.0  # face scales
    scale: NonNegative = 1.0
    scale_limit: Positive = 0.6  # face scales
    form: Form = "hinge"  # docs/method.md compares the two
    opacity: NonNegative = 0.0  # mean opacity: thins what one camera cannot see from the side
    alpha: NonNegative = 0.0  # L1 between rendered coverage and the matte
    camera_colors: NonNegative = 1.0  # squared distance of the cameras' colours from the identity
    lpips: NonNegative = 0.0  # perceptual distance, by the network of `lpips`


@dataclass(frozen=True)
class LpipsSettings:
    """The network of the perceptual distance."""

    __pydantic_config__ = NO_OTHER_KEYS
    weights: FilePath  # its file, .safetensors or torch's own
    sha256: str  # of that file
    backbone: Backbone = "vgg"
