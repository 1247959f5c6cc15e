"""Ingest: decode a capture, align its cameras in time, bring frames to size, store them.

Writes `ingest/frames.h5` (JPEG blobs), `ingest/index.json` (what became of the source),
`ingest/quality.json`, and `ingest/cameras.json` where the capture has calibrated cameras.

A calibrated camera is undistorted and shrunk by a whole number. An uncalibrated one (a single
video) gets one window for the whole clip, around the heads that a sparse detection finds, and
is resized to a fixed size; index.json says how to go back.
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import ConfigDict

from avatar import cli, dataset, files
from avatar.cameras import Cameras
from avatar.errors import UserError
from pipeline.capture import Capture, Clip, read_capture
from pipeline.framing import Framing, calibrated, find_window, windowed
from pipeline.parallel import threaded
from pipeline.quality import Quality

log = logging.getLogger(__name__)


@dataclass
class IngestSettings:
    """What a user may set about ingest.

    Attributes:
        size: calibrated cameras: the longer side of a stored frame is at most this (pixels).
        size_mono: a single video: the longer side of a stored frame (pixels).
        start: seconds to leave out at the start of every sequence.
        duration: seconds to take of every sequence; null takes all.
        max_frames: timesteps to take of every sequence at most; null takes all.
        fps: frames per second to keep at most; null keeps all.
        image_fps: frames per second of clips that are folders of numbered images.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: int = 802
    size_mono: int = 512
    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None
    fps: float | None = None
    image_fps: float = 30.0

    def __post_init__(self) -> None:
        for name in ("size", "size_mono", "duration", "max_frames", "fps", "image_fps"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"settings: ingest.{name} is {value}, expected more than 0")


@dataclass
class Plan:
    """Which frames of a sequence are wanted.

    Attributes:
        times: seconds from the sequence's start, of every timestep.
        wanted: per camera, time of a frame on its clip's own clock (whole microseconds) to the
            timestep's place in `times`.
    """

    times: Float[np.ndarray, "T"]
    wanted: dict[str, dict[int, int]]


@dataclass
class _Stored:
    """What was stored so far, row by row."""

    sequence: list[str] = field(default_factory=list)
    camera: list[str] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    source_time: list[float] = field(default_factory=list)


def ingest(
    capture_path: str | Path, out: str | Path, settings: IngestSettings | None = None
) -> Quality:
    """Store the frames of a capture.

    Args:
        capture_path: see `pipeline.capture`.
        out: folder to write into: `results/<subject>/ingest`.
    Returns:
        What `quality.json` says.
    Raises:
        UserError: the capture is not understood, a clip is no video, or calibration does not fit.
    """
    settings = settings or IngestSettings()
    out = Path(out)
    capture = read_capture(capture_path, settings.image_fps)
    quality = Quality()
    plans = {
        sequence: plan_sequence(
            [clip for clip in capture.clips if clip.sequence == sequence],
            capture.cameras,
            settings,
        )
        for sequence in capture.sequences
    }
    if sum(len(plan.times) for plan in plans.values()) < 2:
        raise UserError(
            f"{capture.path} holds one frame in the chosen span: expected some seconds of video"
        )
    framings = _framings(capture, settings, quality)
    with dataset.create(out / "frames.h5") as writer:
        stored = _store(capture, plans, framings, writer)
        tables = tabulate(stored.sequence, stored.camera, stored.place, plans, framings)
        writer.write_tables(tables)
    if capture.cameras is not None:
        _stored_cameras(capture.cameras, framings).save(out / "cameras.json")
    else:
        (out / "cameras.json").unlink(missing_ok=True)
    files.write_json(out / "index.json", _index(capture, framings, tables, stored))
    _judge(quality, tables, plans)
    quality.save(out / "quality.json")
    return quality


def plan_sequence(clips: list[Clip], cameras: Cameras | None, settings: IngestSettings) -> Plan:
    """Choose a sequence's timesteps and find each camera's frame for them.

    The first camera's clock gives the timesteps; another camera's frame belongs to the nearest
    one if it lies within half a frame of it. A clip's own clock starts with its first frame;
    `time_offset` is added to it.
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
    times = clock[_chosen(clock, interval, settings)]
    if len(times) == 0:
        raise UserError(
            f"sequence {clips[0].sequence}: settings ingest.start {settings.start} leaves no frame "
            f"of {clock[-1]:.2f} s: lower it"
        )
    wanted = {
        camera: {
            round(own_times[frame] * 1e6): place
            for place, frame in nearest(times, own_times + offsets[camera] - start, interval / 2)
        }
        for camera, own_times in own.items()
    }
    return Plan(times, wanted)


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


def _framings(capture: Capture, settings: IngestSettings, quality: Quality) -> dict[str, Framing]:
    """How each camera's frames are brought to size."""
    framings = {}
    for camera in capture.camera_ids:
        clips = [clip for clip in capture.clips if clip.camera == camera]
        if capture.cameras is not None:
            place = capture.cameras.ids.index(camera)
            framings[camera] = calibrated(capture.cameras, place, settings.size)
            continue
        samples = [image for clip in clips for image in clip.sample(max(4, 20 // len(clips)))]
        height, width = samples[0].shape[:2]
        window, share = find_window(samples)
        quality.metrics["share_of_samples_with_a_face"] = share
        if window is None:
            quality.warn(f"no face was found in {len(samples)} sampled frames: whole frame kept")
        framings[camera] = windowed((width, height), window, settings.size_mono)
    return framings


def _store(
    capture: Capture,
    plans: dict[str, Plan],
    framings: dict[str, Framing],
    writer: dataset.StoreWriter,
) -> _Stored:
    """Decode, frame and encode every wanted frame; blobs go to the file in order."""
    cv2.setNumThreads(1)
    stored = _Stored()

    def encode(job: tuple[Clip, float, int, np.ndarray]) -> tuple[Clip, float, int, bytes]:
        clip, time, place, image = job
        framed = framings[clip.camera].apply(image, str(clip.source))
        return clip, time, place, dataset.encode_image(framed)

    total = sum(len(wanted) for plan in plans.values() for wanted in plan.wanted.values())
    done = threaded(encode, _wanted_frames(capture, plans))
    for clip, time, place, blob in cli.progress(done, "ingest", total):
        writer.append(dataset.IMAGE, blob)
        stored.sequence.append(clip.sequence)
        stored.camera.append(clip.camera)
        stored.place.append(place)
        stored.source_time.append(time)
    return stored


def _wanted_frames(
    capture: Capture, plans: dict[str, Plan]
) -> Iterator[tuple[Clip, float, int, UInt8[np.ndarray, "H W 3"]]]:
    for clip in capture.clips:
        wanted = dict(plans[clip.sequence].wanted[clip.camera])
        for time, image in clip.frames():
            place = wanted.pop(round(time * 1e6), None)
            if place is not None:
                yield clip, time, place, image
            if not wanted:
                break


def tabulate(
    sequence: list[str],
    camera: list[str],
    place: list[int],
    plans: dict[str, Plan],
    framings: dict[str, Framing],
) -> dataset.Tables:
    """Number the timesteps that have a frame, once over all sequences.

    Args:
        sequence, camera, place: of every stored row, `place` in its plan's times.
    """
    steps = sorted(set(zip(sequence, place, strict=True)))
    number = {step: timestep for timestep, step in enumerate(steps)}
    of_sequence = np.array([name for name, _ in steps])
    starts = {name: int(np.argmax(of_sequence == name)) for name in set(of_sequence)}
    ids = sorted(framings)
    return dataset.Tables(
        camera_ids=ids,
        sizes=np.array([framings[name].size for name in ids], np.int64),
        sequence=of_sequence,
        index=np.array([t - starts[name] for t, (name, _) in enumerate(steps)], np.int64),
        time=np.array([plans[name].times[place] for name, place in steps]),
        camera=np.array([ids.index(name) for name in camera], np.int64),
        timestep=np.array([number[step] for step in zip(sequence, place, strict=True)], np.int64),
    )


def _stored_cameras(cameras: Cameras, framings: dict[str, Framing]) -> Cameras:
    """Pinhole cameras of the stored frames."""
    return Cameras(
        cameras.ids,
        np.stack(
            [framings[name].matrix @ K for name, K in zip(cameras.ids, cameras.Ks, strict=True)]
        ),
        cameras.viewmats,
        np.array([framings[name].size for name in cameras.ids], np.int64),
        np.zeros((len(cameras), 5)),
        np.zeros(len(cameras)),
    )


def _index(
    capture: Capture, framings: dict[str, Framing], tables: dataset.Tables, stored: _Stored
) -> dict[str, Any]:
    """What `index.json` holds: for every camera the way back to the source's pixels, for every
    clip its source, and its frames' timesteps and times on the source's clock."""
    clips = []
    for clip in capture.clips:
        rows = [
            row
            for row, key in enumerate(zip(stored.sequence, stored.camera, strict=True))
            if key == (clip.sequence, clip.camera)
        ]
        clips.append(
            {
                "sequence": clip.sequence,
                "camera": clip.camera,
                "source": str(clip.source),
                "sha256": None if clip.source.is_dir() else files.sha256(clip.source),
                "timesteps": tables.timestep[rows].tolist(),
                "source_times": [round(stored.source_time[row], 6) for row in rows],
            }
        )
    cameras = {name: framing.to_json() for name, framing in framings.items()}
    return {"version": 1, "capture": str(capture.path), "cameras": cameras, "clips": clips}


def _judge(quality: Quality, tables: dataset.Tables, plans: dict[str, Plan]) -> None:
    planned = sum(len(plan.times) for plan in plans.values()) * len(tables.camera_ids)
    missing = planned - len(tables.camera)
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
        quality.warn(f"{missing} of {planned} frames are missing: a camera lacks them")
    if longest > 3:
        quality.warn(f"a sequence has a gap of {longest:.0f} frames")


def main(argv: list[str] | None = None) -> int:
    """Run ingest for one subject."""
    parser = cli.stage_parser(__doc__)
    parser.add_argument("--capture", type=Path, required=True, help="capture folder or video")
    args = parser.parse_args(argv)
    return cli.run_stage(
        "ingest",
        args,
        lambda: ingest(
            args.capture,
            args.results / args.subject / "ingest",
            cli.read_settings(IngestSettings, args.settings),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
