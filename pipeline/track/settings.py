"""The settings of track."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from pydantic import Field

from avatar.base.made import NO_EFFECT
from avatar.base.settings import (
    NO_OTHER_KEYS,
    FilePath,
    NonNegative,
    Pixels,
    Positive,
    Share,
)

HoldOut = Literal["none", "camera", "sequence"]


@dataclass
class Gate:
    """Limits that turn measures into `pass`, `warn` or `fail`; each pair is (warn, fail).

    Attributes:
        face_share: least share of timesteps in which a face was found.
        reprojection: greatest mean distance of detected and fitted landmarks, per cent of the
            distance of the outer eye corners.
        jitter: greatest jitter of fitted landmarks on still stretches, thousandths of that
            distance.
        silhouette: least overlap (intersection over union) of head mesh and alpha.
        saturation: greatest share of blendshape values at their upper bound.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    face_share: tuple[Share, Share] = (0.9, 0.5)
    reprojection: tuple[NonNegative, NonNegative] = (3.0, 6.0)
    jitter: tuple[NonNegative, NonNegative] = (6.0, 20.0)
    silhouette: tuple[Share, Share] = (0.7, 0.4)
    saturation: tuple[Share, Share] = (0.05, 0.3)

    def __post_init__(self) -> None:
        for entry in fields(self):
            warn, fail = getattr(self, entry.name)
            least = entry.name in ("face_share", "silhouette")  # a measure below these is bad
            if (warn < fail) if least else (warn > fail):
                raise ValueError(
                    f"{entry.name} is [{warn:g}, {fail:g}], expected [warn, fail] with warn "
                    f"{'at least' if least else 'at most'} fail"
                )


@dataclass
class Priors:
    """The fit's priors: standard deviations of zero-mean Gaussians, if not stated otherwise.

    Attributes:
        evidence: weight of one landmark; the errors of one face's landmarks are correlated.
        noise: m; error of a landmark on top of its spread in the rig's embedding.
        outlier: residual in standard deviations from which a landmark is down-weighted.
        shape: in units of the rig's own standard deviation.
        focal: of the logarithm of the focal length; matters only where it is not given.
        expr: of a blendshape coefficient.
        sparse: cost per unit of coefficient; keeps blendshapes that explain little at zero.
        jaw, gaze: rad.
        vergence: rad; difference between the rotations of the two eyes.
        turn: rad; second difference in time of head rotation, at 30 frames/s.
        shift: m; second difference in time of head translation, at 30 frames/s.
        swing: rad; second difference in time of jaw rotation, at 30 frames/s.
        glance: rad; second difference in time of gaze, at 30 frames/s.
        action: second difference in time of blendshape coefficients, at 30 frames/s.
        bias: share of a landmark's deviation that is the same at all times.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    evidence: Positive = 0.04
    noise: Positive = 0.001
    outlier: Positive = 3.0
    shape: Positive = 0.5
    focal: Positive = 0.1
    expr: Positive = 0.4
    sparse: Positive = 0.2
    jaw: Positive = 0.2
    gaze: Positive = 1.5
    vergence: Positive = 0.05
    turn: Positive = 0.01
    shift: Positive = 0.0015
    swing: Positive = 0.03
    glance: Positive = 0.2
    action: Positive = 0.15
    bias: Share = 0.7


@dataclass
class TrackSettings:
    """The `track` part of the configuration.

    Attributes:
        external: `auto` takes tracks that the capture brings and the rig fits, `fit` none; else
            the path of external tracks, in which `{subject}` is filled in.
        hold_out: what is kept from identity, static offsets, focal length, skin colours and the
            neck's share: `none`; `sequence`: the timesteps that the default split holds out, whose
            motion is then solved with these frozen; `camera`: the camera that it holds out, whose
            images are not used at all.
        focal: focal length of a camera without calibration, over the larger side of the frame
            as filmed: 1.35 is a phone's or a webcam's.
        photometric: whether the motion is refined by the colours of the skin.
        task_model: the user's `face_landmarker.task`, whose blendshape scores hint at the
            expression; null: none.
        task_model_sha256: checksum of that file.
        overlay: longer side of the overlay video, pixels.
        priors: of the fit.
        gate: limits of quality.json.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    external: FilePath = "auto"
    hold_out: HoldOut = "none"
    focal: Annotated[float, Field(ge=0.1, le=100, allow_inf_nan=False)] = 1.35
    photometric: bool = True
    task_model: FilePath | None = None
    task_model_sha256: str | None = None
    overlay: Pixels = field(default=640, metadata=NO_EFFECT)
    priors: Priors = field(default_factory=Priors)
    gate: Gate = field(default_factory=Gate, metadata=NO_EFFECT)
