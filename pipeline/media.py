"""Video files in and out: true presentation times, frames as a viewer would see them.

The one place that knows PyAV. A path names a plain file, never a network address, a playlist or
a device: only container formats that hold their own frames are opened.
"""

import logging
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar import files
from avatar.errors import UserError

SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".mpg", ".mpeg", ".mxf"}
)
# Demuxers that read nothing but the file they are given; a playlist names other files.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,mxf,ivf,h264,hevc,mp3,wav,ogg,flac,aac"
_OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        width, height: pixels as shown, after rotation.
        fps: average frames per second, from the presentation times.
        times: presentation time of every frame, seconds, ascending.
        codec: FFmpeg's name.
        turned: whether a display matrix turns or mirrors the frames.
    """

    width: int
    height: int
    fps: float
    times: Float[np.ndarray, "N"]
    codec: str
    turned: bool


def probe(path: str | Path) -> VideoInfo:
    """Look into a video: decodes one frame and lists the times of all.

    Raises:
        UserError: as `read_video`.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        first = next(_decoded(path, container, stream), None)
        if first is None:
            raise _no_frames(path)
        matrix = _display_matrix(first)
        height, width = _turn(np.empty((first.height, first.width, 0), np.uint8), matrix).shape[:2]
        codec = str(stream.codec_context.name)
    times = frame_times(path)
    span = float(times[-1] - times[0])
    fps = (len(times) - 1) / span if span > 0 else 1.0
    return VideoInfo(width, height, fps, times, codec, matrix.tolist() != [[1, 0], [0, 1]])


def frame_times(path: str | Path) -> Float[np.ndarray, "N"]:
    """Presentation times (s, ascending) of a video's frames; decodes only where it must.

    Raises:
        UserError: as `read_video`.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        try:
            packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        except av.error.FFmpegError:  # a broken tail: decoding says which frames are good
            packets = []
        stamps = [packet.pts for packet in packets]
        unit = stream.time_base
        if stamps and None not in stamps and unit is not None:
            return np.unique(np.array(stamps, np.int64)) * float(unit)
    with _opened(path) as (container, stream):
        times = [float(frame.time) for frame in _decoded(path, container, stream)]
    if not times:
        raise _no_frames(path)
    return np.unique(times)


def read_video(path: str | Path) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
    """Frames of a video in order, turned and mirrored as its display matrix says.

    Frames that cannot be decoded are left out; their number is logged.

    Yields:
        Presentation time in seconds on the file's own clock, and an RGB image.
    Raises:
        UserError: no such file, no plain file, empty, no video, or not one frame decodes.
    """
    path = Path(path)
    with _opened(path) as (container, stream):
        count = 0
        for frame in _decoded(path, container, stream):
            count += 1
            image = frame.to_ndarray(format="rgb24")
            yield float(frame.time), np.ascontiguousarray(_turn(image, _display_matrix(frame)))
        if not count:
            raise _no_frames(path)


def sample_frames(path: str | Path, count: int) -> list[UInt8[np.ndarray, "H W 3"]]:
    """About `count` frames spread over a video, for a look at it; frames as in `read_video`.

    Decodes only frames that others refer to, which is about half of them.

    Raises:
        UserError: as `read_video`.
    """
    path = Path(path)
    times = frame_times(path)
    wanted = list(np.linspace(times[0], times[-1], count + 1)[:-1])
    samples = []
    with _opened(path) as (container, stream):
        stream.codec_context.skip_frame = "NONREF"
        for frame in _decoded(path, container, stream):
            if wanted and frame.time >= wanted[0]:
                wanted = [time for time in wanted if time > frame.time]
                samples.append(_turn(frame.to_ndarray(format="rgb24"), _display_matrix(frame)))
    if not samples:
        raise _no_frames(path)
    return [np.ascontiguousarray(sample) for sample in samples]


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: float,
    crf: int = 18,
) -> None:
    """Write an H.264 video (yuv420p, BT.709, limited range), atomically.

    Args:
        path: ends in `.mp4`.
        frames: RGB images of one size; an odd width or height is padded by repeating the edge.
        fps: frames per second.
        crf: x264's constant rate factor, 0 (lossless) to 51.
    Raises:
        ValueError: no frames, or frames of different sizes.
    """
    with files.atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "fast"}
        _tag_colours(stream.codec_context)
        shape = None
        for image in frames:
            if shape is None:
                shape = image.shape
                stream.height, stream.width = (size + size % 2 for size in shape[:2])
            if image.shape != shape:
                raise ValueError(f"{path}: frame of shape {image.shape} after {shape}")
            padded = np.pad(image, [(0, size % 2) for size in shape[:2]] + [(0, 0)], "edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
            yuv = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            _tag_colours(yuv)
            container.mux(stream.encode(yuv))
        if shape is None:
            raise ValueError(f"{path}: no frames to write")
        container.mux(stream.encode())


def _tag_colours(target: "av.VideoFrame | av.VideoCodecContext") -> None:
    """Say what `write_video` converts to; players guess by size where nothing is said."""
    target.colorspace, target.color_range = 1, 1  # BT.709, limited
    target.color_primaries, target.color_trc = 1, 1


@contextmanager
def _opened(path: Path) -> Iterator[tuple["av.container.InputContainer", "av.VideoStream"]]:
    """The container and its best video stream."""
    _check_file(path)
    try:
        container = av.open(
            f"file:{path}", container_options=_OPEN_OPTIONS, metadata_errors="replace"
        )
    except av.error.FFmpegError as problem:
        raise UserError(
            f"{path} is not a video that can be read ({problem.strerror}): "
            "expected a video file such as H.264 in .mp4; replace it"
        ) from None
    with container:
        moving = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
            and stream.codec_context is not None
        ]
        if not moving:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise UserError(f"{path} holds no video stream (only {kinds}): give a video file")
        best = container.streams.best("video")
        stream = best if best in moving else moving[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 2
        yield container, stream


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb"):
                pass
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: put a video there") from None
    except OSError as problem:
        raise UserError(f"{path} cannot be read ({problem.strerror}): check its rights") from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is not a plain file: expected a video file")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): copy the video again")


def _no_frames(path: Path) -> UserError:
    return UserError(f"{path} holds no frame that can be decoded: replace it or convert it again")


def _decoded(
    path: Path, container: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator["av.VideoFrame"]:
    """Decode packet by packet, so that a damaged one costs its own frames only."""
    bad = count = 0
    rate = float(stream.average_rate or 30)
    packets = container.demux(stream)
    reading = True
    while reading:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # nothing can be read any more; the decoder still holds some
            bad += 1
            packet = None
        reading = packet is not None
        try:
            decoded = stream.codec_context.decode(packet)
        except (av.error.FFmpegError, EOFError):
            bad += reading
            continue
        for frame in decoded:
            if frame.pts is None:  # raw streams carry no times
                frame.time_base = Fraction(1, 90000)
                frame.pts = round(count / rate * 90000)
            count += 1
            yield frame
    if bad:
        log.warning("%s: %d damaged parts were left out, %d frames are good", path, bad, count)


def _display_matrix(frame: "av.VideoFrame") -> Int[np.ndarray, "2 2"]:
    """Signs of the display matrix: shown (x, y) = decoded (x, y) times it; identity if absent."""
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return np.eye(2, dtype=int)
    fixed = np.frombuffer(bytes(side), "<i4").reshape(3, 3)[:2, :2]
    # Turns that are no quarter turns do not occur in cameras' files: the nearest one is taken.
    axes = abs(fixed) >= abs(fixed).max(1, keepdims=True)
    signs: np.ndarray = np.sign(fixed) * axes
    return signs if abs(np.linalg.det(signs)) == 1 else np.eye(2, dtype=int)


def _turn(
    image: UInt8[np.ndarray, "H W D"], matrix: Int[np.ndarray, "2 2"]
) -> UInt8[np.ndarray, "h w D"]:
    """Carry pixels to where the display matrix shows them."""
    if matrix[0, 0] == 0:
        image = image.swapaxes(0, 1)
    flip_x, flip_y = matrix.sum(0) < 0
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
