"""Quality of a capture, as ingest reports it in `quality.json`."""

import numpy as np

from avatar.data.layout import Tables
from pipeline.capture.model import LONG_GAP, Capture
from pipeline.common.gate import Quality
from pipeline.ingest.heads import Heads
from pipeline.ingest.sync import Plan

# Beyond this tilt (degrees) a head lies; below this width (pixels) a face shows too little.
LYING, SMALL = 45.0, 100.0
ABSENT = 0.2  # share of the samples in a row without a face
SPREAD = 0.5  # share of the pixels of a still head
SLOW, FEW = 5.0, 4  # frames per second; timesteps


def remarks(capture: Capture) -> list[str]:
    """Remarks of the layout and the clips, each once, with the first clip that it is about."""
    said: dict[str, str] = {}
    for clip in capture.clips:
        for remark in clip.info().remarks:
            said.setdefault(remark, f"{clip.source}: {remark}")
    return capture.remarks + list(said.values())


def grade_heads(quality: Quality, heads: Heads, size: int) -> None:
    """Report the heads found in samples of a single camera's clips.

    Args:
        size: longer side of a stored frame, pixels.
    """
    quality.metrics |= {
        "share_of_samples_with_a_face": heads.share,
        "longest_stretch_without_a_face": heads.absent[1] - heads.absent[0],
        "share_of_pixels_against_a_still_head": heads.spread,
        "face_width": heads.width,
        "head_roll": heads.roll,
        "faces_at_once": heads.crowd,
    }
    if heads.window is None:
        quality.warn(f"no face was found in {heads.samples} sampled frames: whole frame kept")
        return
    begin, end = heads.absent
    if end - begin >= ABSENT:
        quality.warn(
            f"no face is found from {begin:.0%} to {end:.0%} of the clip: leave that part out with "
            "ingest.start and ingest.duration, or show the face"
        )
    if heads.spread < SPREAD:
        wider = min(round(size / heads.spread**0.5), max(heads.window[2:]))
        advice = f"set ingest.size_mono to {wider}, or " if wider > size else ""
        quality.warn(
            f"the head moves over a wide part of the frame and gets {heads.spread:.0%} of the "
            f"pixels of a still head: {advice}crop the video so that the head fills it"
        )
    if heads.crowd > 1:
        quality.warn(
            f"{heads.crowd} faces at once: one is followed; crop the video if it is the wrong one"
        )
    if abs(heads.roll) > LYING:
        quality.warn(f"the head lies at {heads.roll:.0f} degrees: turn the video upright")
    if heads.width < SMALL:
        quality.warn(f"the face is {heads.width:.0f} pixels wide: expected {SMALL:.0f} or more")


def grade_frames(quality: Quality, tables: Tables, plans: dict[str, Plan]) -> None:
    """How complete the stored frames are."""
    planned = sum(len(plan.times) for plan in plans.values()) * len(tables.camera_ids)
    missing = planned - len(tables.camera)
    _grade_cameras(quality, plans)
    gaps = [np.diff(plan.times) for plan in plans.values() if len(plan.times) > 1]
    longest = max((float(gap.max() / np.median(gap)) for gap in gaps), default=1.0)
    quality.metrics |= {
        "sequences": len(plans),
        "cameras": len(tables.camera_ids),
        "timesteps": len(tables.sequence),
        "frames": len(tables.camera),
        "missing_frames": missing,
        "frames_per_second": float(1 / np.mean(np.concatenate(gaps))) if gaps else None,
        "longest_gap_in_frames": longest,
    }
    if missing:
        quality.warn(f"{missing} of {planned} frames are missing: a clip lacks them")
    if longest > LONG_GAP:
        quality.warn(f"a sequence has a gap of {longest:.0f} frames")
    rate = quality.metrics["frames_per_second"]
    if rate is not None and rate < SLOW:
        quality.warn(f"{rate:.3g} frames per second: expected {SLOW:.0f} or more to follow a face")
    if len(tables.sequence) < FEW:
        quality.warn(f"{len(tables.sequence)} timesteps: expected some seconds of video")


def _grade_cameras(quality: Quality, plans: dict[str, Plan]) -> None:
    """How well the cameras of each sequence go together in time."""
    several = {name: plan for name, plan in plans.items() if len(plan.offsets) > 1}
    quality.metrics["camera_offsets"] = {name: plan.offsets for name, plan in several.items()}
    for name, plan in several.items():
        ends = {camera: plan.spans[camera][1] for camera in plan.spans}
        first, last = min(ends, key=lambda c: ends[c]), max(ends, key=lambda c: ends[c])
        frame = float(np.median(np.diff(plan.times))) if len(plan.times) > 1 else 1 / 30
        if ends[last] - ends[first] > 1.5 * frame:
            quality.warn(
                f"sequence {name}: camera {first} ends {ends[last] - ends[first]:.2f} s before "
                f"camera {last}"
            )
        for camera, late in plan.offsets.items():
            if abs(late) > frame / 4:
                quality.warn(
                    f"sequence {name}: camera {camera} is {1000 * late:.1f} ms off the first one: "
                    "give its time_offset in cameras.json"
                )
