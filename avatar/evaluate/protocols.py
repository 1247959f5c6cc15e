"""Protocols of evaluation: what a metric is the metric of.

A figure is comparable with figures of the same protocol only: the same frames, pixels, background,
and parameters at test time.
"""

from dataclasses import dataclass
from typing import Literal

from avatar.data.layout import TEST, VAL

Part = Literal["all", "head", "above_neck"]


@dataclass(frozen=True)
class Definition:
    """What figures are measured on, in words.

    Attributes:
        name: as in every row of the tables.
        frames: which frames are compared.
        pixels: what is compared of them.
        parameters: what drives the avatar.
    """

    name: str
    frames: str
    pixels: str
    parameters: str


@dataclass(frozen=True)
class Protocol(Definition):
    """One way to compare renders with the dataset's frames.

    Attributes:
        split: of the dataset, whose frames are compared.
        last: timesteps, counted from the end of the split; all of them if None.
        part: what truth and render show, see `avatar.evaluate.pixels`.
        background: grey level behind truth and render; that of the settings if None.
        refined: whether the parameters are refined on the frames, through the finished avatar.
    """

    split: int
    last: int | None = None
    part: Part = "all"
    background: float | None = None
    refined: bool = False

    def fits(self, torso: bool) -> bool:
        """Whether an avatar that was trained with, or without, its torso is measured so."""
        return torso or self.part == "head"

    def grey(self, background: float) -> float:
        """The grey level behind truth and render; the argument is that of the settings."""
        return background if self.background is None else self.background

    def describe(self, background: float) -> dict[str, str | float]:
        """What a summary repeats of it.

        Args:
            background: grey level of the settings.
        """
        return {
            "frames": self.frames,
            "pixels": self.pixels,
            "parameters": self.parameters,
            "background": self.grey(background),
        }


_HELD_OUT = "held-out timesteps, all cameras"
_ALL = "all pixels"
_TUNED = "the avatar's, tuned on the other cameras of these timesteps"
_TRACKED = "tracked and refined there through an avatar of the training frames"
_ABOVE_NECK = (
    "all pixels; in truth and render, the background below a line through the front of the neck's "
    "lower edge, tilted as its sides, with a border blurred over 3 % of the width"
)
_EVERY = (
    Protocol("novel_view", "the held-out camera at training timesteps", _ALL, _TUNED, VAL),
    Protocol("self_reenactment", _HELD_OUT, _ALL, _TRACKED, TEST),
    Protocol(
        "self_reenactment_refined",
        _HELD_OUT,
        _ALL,
        "refined on the same frames through the finished avatar",
        TEST,
        refined=True,
    ),
    Protocol(
        "head",
        "the last 350 held-out timesteps (all, where fewer are held out), all cameras",
        "all pixels; the torso of the region map, dilated by 3 pixels, is transparent in the "
        "truth, alpha above one half is one there; in the render, the Gaussians of the torso are "
        "black, where the avatar has one",
        _TRACKED,
        TEST,
        last=350,
        part="head",
        background=0.0,
    ),
    Protocol(
        "neck_line", _HELD_OUT, _ABOVE_NECK, _TRACKED, TEST, part="above_neck", background=1.0
    ),
    Protocol(
        "neck_line_novel_view",
        "the held-out camera at training timesteps",
        _ABOVE_NECK,
        _TUNED,
        VAL,
        part="above_neck",
        background=1.0,
    ),
)
# No frame shows the avatar's person in another one's motion: there are landmarks to compare only.
CROSS_REENACTMENT = Definition(
    "cross_reenactment",
    "all timesteps of another person's capture or video, of the camera that sees that face most "
    "straight on",
    "the face's landmarks, found in the driver's frames and in renders from the front, 512x512, "
    "over white",
    "the driver's, brought over to the avatar as headsplat drive does",
)
PROTOCOLS = {protocol.name: protocol for protocol in _EVERY}
WHOLE = ("novel_view", "self_reenactment")  # all pixels, with the avatar's own parameters
