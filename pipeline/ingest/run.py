"""Ingest: decode a capture, align its cameras in time, bring frames to size, store them.

Writes `ingest/frames.h5` (JPEG blobs), `ingest/index.json` (what became of the source),
`ingest/quality.json`, and `ingest/cameras.json` where the capture has calibrated cameras.

A calibrated camera is undistorted and shrunk by a whole number. An uncalibrated one (a single
video) gets one window for the whole clip, around the heads that a sparse detection finds, and
is resized to a fixed size; index.json says how to go back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from avatar.base import cli, files
from avatar.base.errors import UserError
from avatar.data import jpeg
from avatar.data.cameras import Cameras
from avatar.data.layout import IMAGE, Tables
from avatar.data.writer import StoreWriter, create
from pipeline import media
from pipeline.capture.images import read_image
from pipeline.capture.lens import check_distortion
from pipeline.capture.read import Capture, Clip, read_capture
from pipeline.common.gate import Quality
from pipeline.common.parallel import threaded
from pipeline.detect.landmarks import SparseLook
from pipeline.ingest.framing import Framing, calibrated, find_heads, windowed
from pipeline.ingest.report import judge, judge_heads, remarks
from pipeline.ingest.settings import IngestSettings
from pipeline.ingest.sync import Plan, plan_sequence


@dataclass
class _Stored:
    """What was stored so far, row by row."""

    sequence: list[str] = field(default_factory=list)
    camera: list[str] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    source_frame: list[int] = field(default_factory=list)


def ingest(
    capture_path: str | Path, out: str | Path, settings: IngestSettings | None = None
) -> Quality:
    """Store the frames of a capture.

    Args:
        capture_path: see `pipeline.capture.read`.
        out: folder to write into: `results/<subject>/ingest`.
    Returns:
        What `quality.json` says.
    Raises:
        UserError: the capture is not understood, a clip is no video, or calibration does not fit.
    """
    settings = settings or IngestSettings()
    out = Path(out)
    capture = read_capture(capture_path, settings.image_fps)
    # The process that decodes starts while the detectors load.
    media.start()
    look = SparseLook() if capture.cameras is None else None
    quality = Quality()
    for remark in remarks(capture):
        quality.warn(remark)
    plans = {
        sequence: plan_sequence(
            [clip for clip in capture.clips if clip.sequence == sequence],
            capture.cameras,
            settings,
        )
        for sequence in capture.sequences
    }
    _check_count(capture, sum(len(plan.times) for plan in plans.values()))
    framings = _framings(capture, look, settings, quality)
    for camera, plate in capture.plates.items():
        framings[camera].apply(read_image(plate), str(plate))  # refuses one of another size
    with create(out / "frames.h5") as writer:
        stored = _store(capture, plans, framings, writer, quality.warn)
        _check_count(capture, len(set(zip(stored.sequence, stored.place, strict=True))))
        tables = tabulate(stored.sequence, stored.camera, stored.place, plans, framings)
        writer.write_tables(tables)
    if capture.cameras is not None:
        _stored_cameras(capture.cameras, framings).save(out / "cameras.json")
    else:
        (out / "cameras.json").unlink(missing_ok=True)
    files.write_json(out / "index.json", _index(capture, framings, tables, stored))
    judge(quality, tables, plans)
    quality.save(out / "quality.json")
    return quality


def _check_count(capture: Capture, timesteps: int) -> None:
    if timesteps < 2:
        raise UserError(
            f"{capture.path} holds {timesteps} whole frames in the chosen span: expected some "
            "seconds of video"
        )


def _framings(
    capture: Capture, look: SparseLook | None, settings: IngestSettings, quality: Quality
) -> dict[str, Framing]:
    """How each camera's frames are brought to size; `look` is for those without calibration."""
    framings = {}
    for camera in capture.camera_ids:
        clips = [clip for clip in capture.clips if clip.camera == camera]
        if capture.cameras is not None:
            place = capture.cameras.ids.index(camera)
            colour = capture.colours.get(camera)
            _check_calibration(capture, place, clips, quality)
            framings[camera] = calibrated(capture.cameras, place, settings.size, colour)
            continue
        assert look is not None
        count = max(4, 20 // len(clips))
        heads = find_heads((image for clip in clips for image in clip.sample(count)), look)
        judge_heads(quality, heads)
        framings[camera] = windowed(heads.frame, heads.window, settings.size_mono)
    return framings


def _check_calibration(capture: Capture, place: int, clips: list[Clip], quality: Quality) -> None:
    """A camera's clips have the size of its calibration, and its lens leaves a picture."""
    assert capture.cameras is not None
    width, height = (int(side) for side in capture.cameras.sizes[place])
    for clip in clips:
        info = clip.info()
        whole = media.Window((width, height), (0, 0, width, height))
        whole.check((info.width, info.height), str(clip.source))
    if warning := check_distortion(capture.cameras, place, str(capture.path)):
        quality.warn(warning)


def _store(
    capture: Capture,
    plans: dict[str, Plan],
    framings: dict[str, Framing],
    writer: StoreWriter,
    remark: Callable[[str], None],
) -> _Stored:
    """Decode, frame and encode every wanted frame; blobs go to the file in order."""
    cv2.setNumThreads(1)
    stored = _Stored()

    def encode(job: tuple[Clip, int, int, np.ndarray]) -> tuple[Clip, int, int, bytes]:
        clip, number, place, image = job
        framing = framings[clip.camera]
        cut = framing.early is not None
        framed = framing.finish(image) if cut else framing.apply(image, str(clip.source))
        return clip, number, place, jpeg.encode(framed)

    total = sum(len(wanted) for plan in plans.values() for wanted in plan.wanted.values())
    done = threaded(encode, _wanted_frames(capture, plans, framings, remark))
    for clip, number, place, blob in cli.progress(done, "ingest", total):
        writer.append(IMAGE, blob)
        stored.sequence.append(clip.sequence)
        stored.camera.append(clip.camera)
        stored.place.append(place)
        stored.source_frame.append(number)
    return stored


def _wanted_frames(
    capture: Capture,
    plans: dict[str, Plan],
    framings: dict[str, Framing],
    remark: Callable[[str], None],
) -> Iterator[tuple[Clip, int, int, UInt8[np.ndarray, "H W 3"]]]:
    """Clip, number in it, timestep's place and image of every frame to store."""
    for clip in capture.clips:
        wanted = plans[clip.sequence].wanted[clip.camera]
        window = framings[clip.camera].early
        for number, image in clip.frames(sorted(wanted), window, remark):
            yield clip, number, wanted[number], image


def tabulate(
    sequence: list[str],
    camera: list[str],
    place: list[int],
    plans: dict[str, Plan],
    framings: dict[str, Framing],
) -> Tables:
    """Number the timesteps that have a frame, once over all sequences.

    Args:
        sequence, camera, place: of every stored row, `place` in its plan's times.
    """
    steps = sorted(set(zip(sequence, place, strict=True)))
    number = {step: timestep for timestep, step in enumerate(steps)}
    of_sequence = np.array([name for name, _ in steps])
    starts = {name: int(np.argmax(of_sequence == name)) for name in set(of_sequence)}
    ids = sorted(framings)
    return Tables(
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
    capture: Capture, framings: dict[str, Framing], tables: Tables, stored: _Stored
) -> dict[str, Any]:
    """What `index.json` holds: for every camera the way back to the source's pixels, for every
    clip its source and how many frames that has, and its stored frames' timesteps, their times on
    the source's clock and their numbers (from 0) there."""
    clips = []
    for clip in capture.clips:
        rows = [
            row
            for row, key in enumerate(zip(stored.sequence, stored.camera, strict=True))
            if key == (clip.sequence, clip.camera)
        ]
        frames, times = [stored.source_frame[row] for row in rows], clip.times()
        clips.append(
            {
                "sequence": clip.sequence,
                "camera": clip.camera,
                "source": str(clip.source),
                "sha256": None if clip.source.is_dir() else files.sha256(clip.source),
                "timesteps": tables.timestep[rows].tolist(),
                "source_times": times[frames].round(6).tolist(),
                "source_frames": frames,
                "source_length": len(times),
            }
        )
    cameras = {name: framing.to_json() for name, framing in framings.items()}
    return {"version": 1, "capture": str(capture.path), "cameras": cameras, "clips": clips}
