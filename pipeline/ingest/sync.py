"""Which frames of a sequence's cameras belong together, and which are wanted."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from pipeline.capture.clip import Clip
from pipeline.ingest.settings import IngestSettings


@dataclass
class Plan:
    """Which frames of a sequence are wanted.

    Attributes:
        times: seconds from the sequence's start, of every timestep.
        wanted: per camera, number of a frame in its clip to the timestep's place in `times`.
        offsets: per camera, median seconds by which its frames are late for their timesteps.
        spans: per camera, seconds from the sequence's start to its clip's first and last frame.
    """

    times: Float[np.ndarray, "T"]
    wanted: dict[str, dict[int, int]]
    offsets: dict[str, float] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)


def plan_sequence(clips: list[Clip], cameras: Cameras | None, settings: IngestSettings) -> Plan:
    """Choose a sequence's timesteps and find each camera's frame for them.

    The first camera's clock gives the timesteps; another camera's frame belongs to the nearest
    one if it lies within half a frame of it, or to that of its number where settings.align says
    so. A clip's own clock starts with its first frame; `time_offset` is added to it.
    """
    own = {clip.camera: clip.times() for clip in clips}
    offsets = {
        camera: cameras.time_offsets[cameras.ids.index(camera)] if cameras else 0.0
        for camera in own
    }
    first = clips[0].camera
    start = own[first][0] + offsets[first]
    clock = own[first] + offsets[first] - start
    interval = float(np.median(np.diff(clock))) if len(clock) > 1 else 1 / 30
    chosen = _chosen(clock, interval, settings)
    times = clock[chosen]
    if len(times) == 0:
        raise UserError(
            f"sequence {clips[0].sequence}: settings ingest.start {settings.start} leaves no frame "
            f"of {clock[-1]:.2f} s: lower it"
        )
    plan = Plan(times, {})
    for camera, own_times in own.items():
        moved = own_times + offsets[camera] - start
        if settings.align == "number":
            pairs = [(k, int(frame)) for k, frame in enumerate(chosen) if frame < len(own_times)]
        else:
            pairs = nearest(times, moved, interval / 2)
        if not pairs:
            raise UserError(
                f"sequence {clips[0].sequence}: camera {camera} has no frame at the times of "
                f"camera {first}: fix its time_offset, or settings ingest.start and duration"
            )
        plan.wanted[camera] = {frame: place for place, frame in pairs}
        late = [moved[frame] - times[place] for place, frame in pairs]
        plan.offsets[camera] = float(np.median(late))
        plan.spans[camera] = (float(moved[0]), float(moved[-1]))
    return plan


def _chosen(
    clock: Float[np.ndarray, "N"], interval: float, settings: IngestSettings
) -> Int[np.ndarray, "T"]:
    stop = np.inf if settings.duration is None else settings.start + settings.duration
    # Times are sums of fractions: a thousandth of a frame is no difference.
    slack = interval / 1000
    chosen = np.flatnonzero((clock >= settings.start - slack) & (clock < stop - slack))
    if settings.fps is not None and len(chosen):
        slots = np.floor((clock[chosen] - clock[chosen[0]] + slack) * settings.fps)
        chosen = chosen[np.unique(slots, return_index=True)[1]]
    return chosen[: settings.max_frames]


def nearest(
    times: Float[np.ndarray, "T"], others: Float[np.ndarray, "N"], limit: float
) -> list[tuple[int, int]]:
    """Pair each of `times` with the nearest of `others`, both ascending, if within `limit`.

    Returns:
        Pairs (place in `times`, place in `others`); none of `others` is used twice, the closer
        pair wins.
    """
    right = np.clip(np.searchsorted(others, times), 1, max(1, len(others) - 1))
    right = np.minimum(right, len(others) - 1)
    left = np.maximum(right - 1, 0)
    closest = np.where(abs(others[left] - times) <= abs(others[right] - times), left, right)
    gaps = abs(others[closest] - times)
    best: dict[int, int] = {}
    for place in np.argsort(gaps, kind="stable"):
        if gaps[place] <= limit:
            best.setdefault(int(closest[place]), int(place))
    return sorted((place, other) for other, place in best.items())
