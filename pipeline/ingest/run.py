"""Ingest: decode a capture, align its cameras in time, bring frames to size, store them.

Writes `ingest/frames.h5` (JPEG blobs), `ingest/index.json` (what became of the source),
`ingest/quality.json`, and `ingest/cameras.json` where the capture has calibrated cameras.

A calibrated camera is undistorted and shrunk, by a whole number where possible. An uncalibrated
one (a single video) gets one window for the whole clip, around the heads that a sparse detection
finds, and is resized to a fixed size; index.json says how to go back.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar.base import files
from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.writer import create
from pipeline import media
from pipeline.capture.clip import Clip
from pipeline.capture.images import read_image
from pipeline.capture.lens import check_distortion
from pipeline.capture.model import Capture
from pipeline.capture.read import read_capture
from pipeline.common.gate import Quality
from pipeline.detect.landmarks import SampleDetector
from pipeline.ingest.framing import Framing, calibrated, windowed
from pipeline.ingest.heads import find_heads
from pipeline.ingest.recording import grade_clips
from pipeline.ingest.report import grade_frames, grade_heads, remarks
from pipeline.ingest.settings import IngestSettings
from pipeline.ingest.store import count_frames, index_of, store, tabulate
from pipeline.ingest.sync import plan_sequence


def ingest(
    capture_path: str | Path, out: str | Path, settings: IngestSettings | None = None
) -> Quality:
    """Store the frames of a capture.

    Args:
        capture_path: see `pipeline.capture.read`.
        out: folder to write into: `results/<subject>/ingest`.
    Returns:
        What `quality.json` holds.
    Raises:
        UserError: the layout is not known, a clip is no video, or the calibration does not fit.
    """
    settings = settings or IngestSettings()
    out = Path(out)
    capture = read_capture(capture_path, settings.image_fps)
    # The process that decodes starts while the detectors load.
    media.start()
    detector = SampleDetector() if capture.cameras is None else None
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
    framings = _framings(capture, detector, settings, quality)
    for camera, plate in capture.plates.items():
        framings[camera].apply(read_image(plate), str(plate))  # refuses one of another size
    with create(out / "frames.h5", count_frames(plans)) as writer:
        stored = store(capture, plans, framings, writer, quality.warn)
        steps = {(part.clip.sequence, place) for part in stored for place in part.places}
        _check_count(capture, len(steps))
        tables = tabulate(stored, plans, framings)
        writer.write_tables(tables)
    if capture.cameras is not None:
        _stored_cameras(capture.cameras, framings).save(out / "cameras.json")
    else:
        (out / "cameras.json").unlink(missing_ok=True)
    files.write_json(out / "index.json", index_of(capture, framings, tables, stored))
    grade_frames(quality, tables, plans)
    grade_clips(quality, stored, capture.cameras is not None)
    quality.save(out / "quality.json")
    return quality


def _check_count(capture: Capture, timesteps: int) -> None:
    if timesteps < 2:
        raise UserError(
            f"{capture.path} holds {timesteps} whole frames in the chosen span: expected some "
            "seconds of video"
        )


def _framings(
    capture: Capture, detector: SampleDetector | None, settings: IngestSettings, quality: Quality
) -> dict[str, Framing]:
    """How each camera's frames are brought to size; `detector` is for those without calibration."""
    framings = {}
    for camera in capture.camera_ids:
        clips = [clip for clip in capture.clips if clip.camera == camera]
        if capture.cameras is not None:
            place = capture.cameras.ids.index(camera)
            colour = capture.colours.get(camera)
            _check_calibration(capture, place, clips, quality)
            framings[camera] = calibrated(capture.cameras, place, settings.size, colour)
            continue
        assert detector is not None
        count = max(4, 20 // len(clips))
        heads = find_heads((image for clip in clips for image in clip.sample(count)), detector)
        grade_heads(quality, heads, settings.size_mono)
        framings[camera] = replace(
            windowed(heads.frame, heads.window, settings.size_mono),
            other_faces=tuple(tuple(box) for box in heads.others.tolist()),
        )
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
