"""What a user may set about tracking."""

from dataclasses import dataclass, field

from pydantic import ConfigDict


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

    __pydantic_config__ = ConfigDict(extra="forbid")

    face_share: tuple[float, float] = (0.9, 0.5)
    reprojection: tuple[float, float] = (3.0, 6.0)
    jitter: tuple[float, float] = (6.0, 20.0)
    silhouette: tuple[float, float] = (0.7, 0.4)
    saturation: tuple[float, float] = (0.05, 0.3)


@dataclass
class Priors:
    """What is believed before any frame is seen: standard deviations of zero-mean Gaussians.

    Attributes:
        evidence: landmarks of one face err together, so each counts as this much of one.
        noise: m; what a landmark is off by beside its spread in the rig's embedding.
        outlier: residual in standard deviations from which a landmark loses its say.
        shape: in units of the rig's own standard deviation.
        focal: of the logarithm of the focal length; matters only where it is not given.
        expr: of a blendshape coefficient; sparse: cost per unit of coefficient, which keeps
            blendshapes that explain little at zero.
        jaw, gaze, vergence: rad; the last is the difference between the two eyes' turns.
        turn, shift, swing, glance, action: of the second difference in time of head rotation
            (rad), place (m), jaw (rad), gaze (rad) and blendshapes, at 30 frames/s.
        bias: share of a landmark's deviation that is the same at all times.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    evidence: float = 0.04
    noise: float = 0.001
    outlier: float = 3.0
    shape: float = 0.5
    focal: float = 0.1
    expr: float = 0.4
    sparse: float = 0.2
    jaw: float = 0.2
    gaze: float = 0.3
    vergence: float = 0.05
    turn: float = 0.01
    shift: float = 0.0015
    swing: float = 0.03
    glance: float = 0.06
    action: float = 0.15
    bias: float = 0.7


@dataclass
class TrackSettings:
    """What a user may set about tracking.

    Attributes:
        ready: `auto` takes tracks that the capture brings and the rig fits, `fit` none; else the
            path of ready tracks, `{subject}` in it filled in (see pipeline.track.external.choose).
        workers: processes that detect landmarks side by side.
        focal: focal length of a camera without calibration, over the larger side of the frame
            as filmed: 1.35 is a phone's or a webcam's.
        photometric: whether the motion is refined by the colours of the skin.
        task_model: the user's `face_landmarker.task`, whose blendshape scores hint at the
            expression; null: none. task_model_sha256: its checksum.
        overlay: longer side of the overlay video, pixels.
        priors: what is believed before any frame is seen.
        gate: limits of quality.json.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    ready: str = "auto"
    workers: int = 2
    focal: float = 1.35
    photometric: bool = True
    task_model: str | None = None
    task_model_sha256: str | None = None
    overlay: int = 640
    priors: Priors = field(default_factory=Priors)
    gate: Gate = field(default_factory=Gate)
