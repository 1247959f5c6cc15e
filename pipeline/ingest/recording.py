"""Cuts, repeated frames and changing exposure of a capture, reported in `quality.json`."""

from dataclasses import asdict, dataclass

import numpy as np

from pipeline.common.gate import Quality
from pipeline.ingest.exposure import Drift, drift
from pipeline.ingest.store import StoredClip

REPEATED = 0.3  # share of the frames that equal the one before
_NAMED = 4  # cuts of a sequence that are named


@dataclass(frozen=True)
class Cut:
    """The first frame after a cut, its number and time (s) in its clip."""

    sequence: str
    camera: str
    frame: int
    time: float


def grade_clips(quality: Quality, stored: list[StoredClip], calibrated: bool) -> None:
    """Report cuts, repeated frames, and how exposure and white balance vary.

    Args:
        calibrated: the cameras stand still: exposure is compared between sequences too.
    """
    cuts = [
        Cut(clip.sequence, clip.camera, frame, float(clip.times()[frame]))
        for part in stored
        for clip in [part.clip]
        for frame in (part.frames[place] for place in part.continuity.cuts)
    ]
    quality.metrics["cuts"] = [asdict(cut) for cut in cuts]
    for sequence in sorted({cut.sequence for cut in cuts}):
        _warn_of_cuts(quality, sequence, [cut for cut in cuts if cut.sequence == sequence])
    _grade_repeats(quality, stored)
    _grade_drifts(quality, _drifts(stored, calibrated))


def _warn_of_cuts(quality: Quality, sequence: str, cuts: list[Cut]) -> None:
    """One line a sequence."""
    places = list(dict.fromkeys(f"frame {cut.frame} ({cut.time:.2f} s)" for cut in cuts))
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    cameras = ", ".join(sorted({cut.camera for cut in cuts}))
    quality.warn(
        f"sequence {sequence}, camera {cameras}: cut to another picture at "
        f"{', '.join(places[:_NAMED])}{more}: keep one scene and person, with ingest.start and "
        "ingest.duration or by cutting the video"
    )


def _grade_repeats(quality: Quality, stored: list[StoredClip]) -> None:
    quality.metrics["share_of_repeated_frames"] = max(
        (part.continuity.repeated for part in stored), default=0.0
    )
    for part in stored:
        name = f"sequence {part.clip.sequence}, camera {part.clip.camera}"
        if part.continuity.still:
            quality.warn(f"{name}: nothing moves in {len(part.frames)} frames: give a video")
        elif part.continuity.repeated > REPEATED:
            quality.warn(
                f"{name}: {part.continuity.repeated:.0%} of the frames repeat the one before: set "
                "ingest.fps to the true rate"
            )


def _drifts(stored: list[StoredClip], calibrated: bool) -> dict[str, Drift]:
    """Of each camera, the largest of its clips or that over all of them."""
    drifts: dict[str, Drift] = {}
    for camera in sorted({part.clip.camera for part in stored}):
        parts = [part for part in stored if part.clip.camera == camera]
        samples = [part.samples for part in parts if part.samples is not None]
        groups = [np.concatenate(samples)] if calibrated else samples
        found = [measured for group in groups if (measured := drift(group)) is not None]
        if found:
            drifts[camera] = max(found, key=lambda d: max(d.exposure, d.balance))
    return drifts


def _grade_drifts(quality: Quality, drifts: dict[str, Drift]) -> None:
    quality.metrics["exposure_drift_ev"] = {name: d.exposure for name, d in drifts.items()}
    quality.metrics["white_balance_drift_ev"] = {name: d.balance for name, d in drifts.items()}
    notable = {name: d for name, d in drifts.items() if d.notable}
    if notable:
        worst = max(notable.values(), key=lambda d: d.exposure + d.balance)
        quality.warn(
            f"camera {', '.join(notable)}: exposure varies by up to {worst.exposure:.2f} EV and "
            f"white balance by {2**worst.balance - 1:.0%}: record with both locked, or even them "
            "out"
        )
