"""Ingest: decode a capture, align its cameras in time, bring frames to size, store them.

Writes `ingest/frames.h5` (JPEG blobs), `ingest/index.json` (what became of the source),
`ingest/quality.json`, and `ingest/cameras.json` where the capture has calibrated cameras.

A calibrated camera is undistorted and shrunk by a whole number. An uncalibrated one (a single
video) gets one window for the whole clip, around the heads that a sparse detection finds, and
is resized to a fixed size; index.json says how to go back.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import ConfigDict

from avatar import cli, dataset, files, jpeg
from avatar.cameras import Cameras
from avatar.errors import UserError
from pipeline.capture import Capture, Clip, read_capture, read_image
from pipeline.framing import Framing, Heads, calibrated, find_heads, windowed
from pipeline.parallel import threaded
from pipeline.quality import Quality

log = logging.getLogger(__name__)

# Beyond this tilt (degrees) a head lies; below this width (pixels) a face shows too little.
LYING, SMALL = 45.0, 100.0
LONG_GAP = 3.0  # frames


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
        align: which frames of several cameras belong together: those of the same `time` (after
            time_offset), or of the same `number` (cameras in step whose files' times are unfit).
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: int = 802
    size_mono: int = 512
    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None
    fps: float | None = None
    image_fps: float = 30.0
    align: Literal["time", "number"] = "time"

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
        wanted: per camera, number of a frame in its clip to the timestep's place in `times`.
        offsets: per camera, median seconds by which its frames are late for their timesteps.
        spans: per camera, seconds from the sequence's start to its clip's first and last frame.
    """

    times: Float[np.ndarray, "T"]
    wanted: dict[str, dict[int, int]]
    offsets: dict[str, float] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)


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
    for remark in _remarks(capture):
        quality.warn(remark)
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
    for camera, plate in capture.plates.items():
        framings[camera].check(read_image(plate), str(plate))
    with dataset.create(out / "frames.h5") as writer:
        stored = _store(capture, plans, framings, writer, quality.warn)
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


def _remarks(capture: Capture) -> list[str]:
    """What the layout and the clips have to say, each remark once with the first clip it is of."""
    said: dict[str, str] = {}
    for clip in capture.clips:
        for remark in clip.info().remarks:
            said.setdefault(remark, f"{clip.source}: {remark}")
    return capture.remarks + list(said.values())


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
        plan.wanted[camera] = {frame: place for place, frame in pairs}
        late = [moved[frame] - times[place] for place, frame in pairs]
        plan.offsets[camera] = float(np.median(late)) if late else float("nan")
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


def _framings(capture: Capture, settings: IngestSettings, quality: Quality) -> dict[str, Framing]:
    """How each camera's frames are brought to size."""
    framings = {}
    for camera in capture.camera_ids:
        clips = [clip for clip in capture.clips if clip.camera == camera]
        if capture.cameras is not None:
            place = capture.cameras.ids.index(camera)
            colour = capture.colours.get(camera)
            framings[camera] = calibrated(capture.cameras, place, settings.size, colour)
            continue
        samples = [image for clip in clips for image in clip.sample(max(4, 20 // len(clips)))]
        height, width = samples[0].shape[:2]
        same = [image for image in samples if image.shape == samples[0].shape]
        heads = find_heads(same)
        _judge_heads(quality, heads, len(same))
        framings[camera] = windowed((width, height), heads.window, settings.size_mono)
    return framings


def _judge_heads(quality: Quality, heads: Heads, samples: int) -> None:
    quality.metrics |= {
        "share_of_samples_with_a_face": heads.share,
        "face_width": heads.width,
        "head_roll": heads.roll,
        "faces_at_once": heads.crowd,
    }
    if heads.window is None:
        quality.warn(f"no face was found in {samples} sampled frames: whole frame kept")
        return
    if heads.crowd > 1:
        quality.warn(f"{heads.crowd} faces at once: the window may follow the wrong one; crop it")
    if abs(heads.roll) > LYING:
        quality.warn(f"the head lies at {heads.roll:.0f} degrees: turn the video upright")
    if heads.width < SMALL:
        quality.warn(f"the face is {heads.width:.0f} pixels wide: expected {SMALL:.0f} or more")


def _store(
    capture: Capture,
    plans: dict[str, Plan],
    framings: dict[str, Framing],
    writer: dataset.StoreWriter,
    remark: Callable[[str], None],
) -> _Stored:
    """Decode, frame and encode every wanted frame; blobs go to the file in order."""
    cv2.setNumThreads(1)
    stored = _Stored()

    def encode(job: tuple[Clip, float, int, np.ndarray]) -> tuple[Clip, float, int, bytes]:
        clip, time, place, image = job
        framed = framings[clip.camera].apply(image, str(clip.source))
        return clip, time, place, jpeg.encode(framed)

    total = sum(len(wanted) for plan in plans.values() for wanted in plan.wanted.values())
    done = threaded(encode, _wanted_frames(capture, plans, remark))
    for clip, time, place, blob in cli.progress(done, "ingest", total):
        writer.append(dataset.IMAGE, blob)
        stored.sequence.append(clip.sequence)
        stored.camera.append(clip.camera)
        stored.place.append(place)
        stored.source_time.append(time)
    return stored


def _wanted_frames(
    capture: Capture, plans: dict[str, Plan], remark: Callable[[str], None]
) -> Iterator[tuple[Clip, float, int, UInt8[np.ndarray, "H W 3"]]]:
    for clip in capture.clips:
        wanted = plans[clip.sequence].wanted[clip.camera]
        times = clip.times()
        for number, image in clip.frames(sorted(wanted), remark):
            yield clip, float(times[number]), wanted[number], image


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
    _judge_cameras(quality, plans)
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


def _judge_cameras(quality: Quality, plans: dict[str, Plan]) -> None:
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
