"""Training presets as data: every rate, interval and weight, overridable key by key.

All schedules count images (a step over a batch of four counts four), so that a preset means
the same at any batch size.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from avatar.base import settings
from avatar.base.errors import UserError
from avatar.base.made import NO_EFFECT
from avatar.base.settings import (
    NO_OTHER_KEYS,
    Count,
    NonNegative,
    Positive,
    PositiveInt,
    ProperShare,
    Share,
)
from avatar.losses.settings import LossWeights, LpipsSettings


@dataclass(frozen=True)
class Batch:
    """What one step sees."""

    __pydantic_config__ = NO_OTHER_KEYS
    timesteps: PositiveInt = 1  # poses in a step
    views: PositiveInt = 1  # cameras of each; where there are fewer, there are more poses
    background: Literal["random", "white", "black"] = "random"  # behind truth and render
    coarse_images: Count = 0  # train on frames of half the size for so many images first
    coarse_above: Count = 0  # ... but only where a frame has more than so many pixels


@dataclass(frozen=True)
class Start:
    """The Gaussians before the first step: one on every face."""

    __pydantic_config__ = NO_OTHER_KEYS
    opacity: ProperShare = 0.1
    scale: Positive = 1.0  # standard deviation, in units of the face's scale
    thickness: Positive = 1.0  # ... along the face's normal, as a share of `scale`
    color_frames: Count = 0  # take colours from so many frames; 0: grey


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates; those of the means in face scales a step.

    With the extent `cameras` the means' are multiplied by it (m), as published.
    """

    __pydantic_config__ = NO_OTHER_KEYS
    means_first: Positive = 5e-3
    means_last: Positive = 5e-5  # reached exponentially at the end of the run
    sh_dc: NonNegative = 2.5e-3
    sh_rest: NonNegative = 1.25e-4
    opacities: NonNegative = 0.05
    scales: NonNegative = 0.017
    quats: NonNegative = 1e-3
    basis_means: NonNegative = 3e-4
    basis_colors: NonNegative = 3e-4
    camera_colors: NonNegative = 1e-3
    final: Positive = 1.0  # all rates but the means' fall to this share, over the last half
    eps: Positive = 1e-15
    # Pixels of a step's frames. A Gaussian that colours so many, all with errors of one sign, takes
    # half of Adam's steps in colour; one that shines faintly through others keeps its first colour.
    color_evidence: NonNegative = 0.0


def _scaled(rates: Rates, factor: float) -> Rates:
    """The same rates times a factor; what is no rate stays."""
    fixed = ("final", "eps", "color_evidence")
    others = {name: getattr(rates, name) for name in fixed}
    return Rates(**{name: factor * value for name, value in asdict(rates).items()} | others)


@dataclass(frozen=True)
class RigTuning:
    """Learning rates of the rig parameters; 0 leaves one as given.

    All but `shape` and `static_offset` are of each training timestep.
    """

    __pydantic_config__ = NO_OTHER_KEYS
    expr: NonNegative = 1e-3
    pose: NonNegative = 1e-5  # rotation, neck, jaw, eyes
    translation: NonNegative = 1e-6  # and the shift of the neck
    shape: NonNegative = 0.0  # identity
    static_offset: NonNegative = 0.0  # m, before smoothing
    centred: bool = False  # no shift common to all timesteps: held-out ones would not share it
    tracked_share: Share = 0.0  # of the steps use the tracked parameters, as held-out frames do


@dataclass(frozen=True)
class Density:
    """Where Gaussians are added and taken away; intervals in images.

    `adaptive` clones, splits, prunes and resets as the paper does. `budget` relocates faded ones
    and grows by 5 % a round up to `most`; of the fields it reads interval, first, last, most,
    min_opacity and noise.
    """

    __pydantic_config__ = NO_OTHER_KEYS
    kind: Literal["adaptive", "budget"] = "adaptive"
    interval: Count = 2000  # 0 switches density control off
    first: Count = 10_000  # rounds come at multiples of the interval above `first`
    last: Count = 600_000  # ... and below `last`
    gradient: NonNegative = 2e-4  # normalised device units
    split_share: NonNegative = 0.01  # of the extent: larger Gaussians are split, smaller cloned
    most: PositiveInt | None = None  # Gaussians; None: no limit
    min_opacity: ProperShare = 0.005
    max_share: Positive = 0.1  # of the extent; larger ones are pruned after `reset_interval`
    reset_interval: Count = 60_000  # 0: never; on white opacities are also reset at `first`
    reset_opacity: ProperShare = 0.01
    noise: NonNegative = 0.0  # steps of faint Gaussians, units of the means' rate

    def __post_init__(self) -> None:
        if self.interval and self.first > self.last:
            raise ValueError(
                f"first is {self.first} and last {self.last}: expected first at most last, or "
                "interval 0"
            )


@dataclass(frozen=True)
class Basis:
    """Changes of Gaussians with expression and jaw; see `avatar.gaussians.basis`."""

    __pydantic_config__ = NO_OTHER_KEYS
    size: Count = 0  # principal components that drive them; 0: none


@dataclass(frozen=True)
class Preset:
    """One way of training, complete."""

    __pydantic_config__ = NO_OTHER_KEYS
    name: str
    images: PositiveInt
    sh_degree: Annotated[int, Field(ge=0, le=3)]
    sh_interval: Count  # images between one degree and the next; 0: all from the start
    extent: Literal["head", "cameras"] = "head"  # sizes: the rig's radius, or the cameras' spread
    # Decoded frames kept in memory; more are decoded ahead of their step.
    cache_mib: Count = field(default=2048, metadata=NO_EFFECT)
    batch: Batch = field(default_factory=Batch)
    start: Start = field(default_factory=Start)
    rates: Rates = field(default_factory=Rates)
    rig: RigTuning = field(default_factory=RigTuning)
    loss: LossWeights = field(default_factory=LossWeights)
    density: Density = field(default_factory=Density)
    basis: Basis = field(default_factory=Basis)
    correct_colors: bool = False  # an affine colour correction for every training camera
    lpips: LpipsSettings | None = None  # the user's file, for `loss.lpips`


PAPER = Preset(
    "paper",
    images=600_000,
    sh_degree=3,
    sh_interval=1000,
    extent="cameras",
    batch=Batch(background="white"),
)
# Rates are higher than the paper's because the run is a hundredth of its length. Every figure is
# the best of a few runs on the demo capture, not a searched optimum.
QUICK = Preset(
    "quick",
    images=5000,
    sh_degree=0,
    sh_interval=0,
    batch=Batch(timesteps=2, views=2, background="white", coarse_images=1900, coarse_above=150_000),
    start=Start(opacity=0.5, scale=0.6, color_frames=24),
    rates=Rates(means_first=6.8e-3, means_last=8.5e-5, sh_dc=0.01, final=0.1, color_evidence=0.3),
    rig=RigTuning(expr=0.0, pose=0.0, translation=0.0),  # as the stage refine has them
    density=Density(interval=300, first=0, last=4000, gradient=1e-4, most=24_000, reset_interval=0),
    basis=Basis(size=16),
)
# `quick` for a GPU: more images and Gaussians, view dependence, and four times the batch. Rates
# grow with the square root of the batch, which keeps the noise of Adam's steps (Malladi et al., "On
# the SDEs and scaling rules for adaptive gradient algorithms", 2022).
FAST = replace(
    QUICK,
    name="fast",
    images=60_000,
    sh_degree=3,
    sh_interval=1000,
    batch=replace(QUICK.batch, timesteps=4, views=4, coarse_images=0),
    start=replace(QUICK.start, color_frames=48),
    rates=_scaled(QUICK.rates, 2.0),
    density=replace(QUICK.density, interval=2000, last=42_000, most=80_000),
)
PRESETS = {preset.name: preset for preset in (PAPER, FAST, QUICK)}
# Changes to every preset for one camera. Its frames constrain neither view dependence nor how far a
# Gaussian reaches in depth, and do not show that a head is half transparent where it has the
# background's colour. The cameras have no spread.
ONE_CAMERA: dict[str, Any] = {
    "sh_degree": 0,
    "extent": "head",
    "start": {"thickness": 0.15},
    "loss": {"alpha": 0.1},
}
# Changes to every preset without torso: frames as the protocol `head` shows them, and what they do
# not show is transparent instead of black.
NO_TORSO: dict[str, Any] = {"batch": {"background": "black"}, "loss": {"alpha": 0.1}}


@dataclass(frozen=True)
class TrainSettings:
    """The `train` part of the configuration.

    Attributes:
        preset: `auto` is `fast` where a CUDA device is, else `quick`.
        overrides: any field of the preset, nested as in avatar/train/presets.py.
        torso: whether the avatar has one; without it clothes and torso are transparent in what it
            is trained on, and it is measured under the protocol `head` only.
        seed: of frame order, backgrounds and splits; on a CPU one seed gives one avatar.
        checkpoint_minutes: of work that is lost at most when the machine fails; checkpoints that
            are written quickly come more often. Does not change the avatar.
        viewer: watch the run in a browser, see docs/viewer.md; does not change the avatar.
        port: of the viewer, on 127.0.0.1; 0: any that is free.
        tensorboard: write event files for TensorBoard, which has to be installed; does not change
            the avatar.
    """

    __pydantic_config__ = NO_OTHER_KEYS
    preset: Literal["auto", "paper", "fast", "quick"] = "auto"
    overrides: dict[str, Any] = field(default_factory=dict)
    torso: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    checkpoint_minutes: NonNegative = field(default=2.0, metadata=NO_EFFECT)
    viewer: bool = field(default=False, metadata=NO_EFFECT)
    port: Annotated[int, Field(ge=0, le=65535)] = field(default=8080, metadata=NO_EFFECT)
    tensorboard: bool = field(default=False, metadata=NO_EFFECT)

    def __post_init__(self) -> None:
        if self.overrides:
            override(PRESETS.get(self.preset, QUICK), self.overrides)


def resolve(asked: TrainSettings, cuda: bool, cameras: int) -> Preset:
    """The preset that the settings name, with their overrides.

    With one camera `ONE_CAMERA` is applied first, and `NO_TORSO` without torso; overrides win.

    Args:
        cuda: whether a CUDA device is there; decides `auto`.
        cameras: how many cameras there are to train with.
    Raises:
        UserError: overrides with an unknown key or a value of the wrong type or range.
    """
    name: str = asked.preset
    if name == "auto":
        name = "fast" if cuda else "quick"
    preset = PRESETS[name]
    if cameras == 1:
        preset = override(preset, ONE_CAMERA)
    if not asked.torso:
        preset = override(preset, NO_TORSO)
    return override(preset, asked.overrides)


def override(preset: Preset, overrides: dict[str, Any]) -> Preset:
    """The preset with some fields replaced; `overrides` is nested as the preset is.

    Raises:
        UserError: an unknown key or a value of the wrong type.
    """
    merged = settings.merge(asdict(preset), overrides)
    found = settings.check(Preset, merged, "train.overrides")
    if found.loss.lpips and found.lpips is None:
        raise UserError(
            "settings: train.overrides.loss.lpips needs train.overrides.lpips: give weights, "
            "sha256 and backbone of a file of yours, or set it to 0"
        )
    return found
