"""Decode video files with PyAV, in the `worker` process.

Only container formats that hold their own frames and codecs of cameras and editors are opened; the
file is the one thing FFmpeg may read.
"""

import stat
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar.errors import UserError
from pipeline.media import limits

SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".mpg", ".mpeg", ".mxf"}
)
# Demuxers that read nothing but the file they are given; a playlist names other files.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,mxf,ivf,h264,hevc,mp3,wav,ogg,flac,aac"
_CODECS = frozenset(
    {"h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mjpeg", "prores", "dnxhd", "ffv1"}
    | {"mpeg4", "mpeg2video", "mpeg1video"}
)
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": _FORMATS,
    "codec_whitelist": ",".join(sorted(_CODECS)),
    "max_streams": "64",
}
_THREADS = 2
_ALIVE_EVERY = 64  # packets
_SAME = 1e-6  # seconds: times this close are one, however they were summed
# Numbers of ITU-T H.273: unspecified matrix; transfer functions of high dynamic range.
_UNSPECIFIED, _HDR = 2, {16: "PQ", 18: "HLG"}

Report = Callable[[str], None]
Alive = Callable[[], None]


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        width, height: pixels as shown, after rotation.
        times: presentation time of every frame, seconds, ascending.
        codec, pixel_format: FFmpeg's names.
        matrix: signs of the display matrix, as `_display_matrix`.
        remarks: what a user should know, one sentence each.
    """

    width: int
    height: int
    times: Float[np.ndarray, "N"]
    codec: str
    pixel_format: str
    matrix: list[list[int]]
    remarks: list[str]

    @property
    def fps(self) -> float:
        """Average frames per second, from the presentation times."""
        span = float(self.times[-1] - self.times[0])
        return (len(self.times) - 1) / span if span > 0 else 1.0

    @property
    def turned(self) -> bool:
        """Whether a display matrix turns or mirrors the frames."""
        return self.matrix != [[1, 0], [0, 1]]

    @property
    def turn(self) -> str:
        """The display matrix in words."""
        (a, b), (c, d) = self.matrix
        mirrored = a * d - b * c < 0
        degrees = {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[(a, b)]
        return f"{degrees}" + (" mirrored" if mirrored else "")

    def to_json(self) -> dict[str, Any]:
        """For the way between processes."""
        return asdict(self) | {"times": self.times.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "VideoInfo":
        """The way back."""
        return cls(**value | {"times": np.array(value["times"])})


def scan(path: Path, alive: Alive = lambda: None) -> VideoInfo:
    """Look into a video: decodes one frame and lists the times of all.

    Args:
        alive: called now and then.
    Raises:
        UserError: as `frames`.
    """
    with _opened(path) as (container, stream):
        first = next(_decoded(path, container, stream), None)
        if first is None:
            raise _no_frames(path)
        matrix = _display_matrix(first)
        height, width = _turn(np.empty((first.height, first.width, 0), np.uint8), matrix).shape[:2]
        codec, pixel_format = str(stream.codec_context.name), str(first.format.name)
        remarks = _remarks(first, stream)
    times = _times(path, alive)
    return VideoInfo(width, height, times, codec, pixel_format, matrix.tolist(), remarks)


def _remarks(frame: "av.VideoFrame", stream: "av.VideoStream") -> list[str]:
    remarks = []
    ratio = stream.sample_aspect_ratio
    if ratio and ratio != 1:
        remarks.append(f"its pixels are not square ({ratio}): frames are used as they are stored")
    if frame.interlaced_frame:
        remarks.append("it is interlaced: moving edges are combed; deinterlace it first")
    if int(frame.color_trc) in _HDR:
        kind = _HDR[int(frame.color_trc)]
        remarks.append(f"its colours are HDR ({kind}): they are used without tone mapping")
    return remarks


def _times(path: Path, alive: Alive) -> Float[np.ndarray, "N"]:
    """Presentation times (s, ascending) of a video's frames; decodes only where it must."""
    stamps: list[int | None] = []
    with _opened(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    stamps.append(packet.pts)
                    _check_count(path, len(stamps))
                    if len(stamps) % _ALIVE_EVERY == 0:
                        alive()
        except av.error.FFmpegError:  # a broken tail: decoding says which frames are good
            stamps = []
        unit = stream.time_base
        if stamps and None not in stamps and unit is not None:
            return np.unique(np.array(stamps, np.int64)) * float(unit)
    times = []
    with _opened(path) as (container, stream):
        for frame in _decoded(path, container, stream):
            times.append(float(frame.time))
            alive()
    if not times:
        raise _no_frames(path)
    return np.unique(times)


def frames(
    path: Path,
    wanted: list[float] | None = None,
    report: Report = lambda text: None,
    alive: Alive = lambda: None,
) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
    """Frames of a video in order, turned and mirrored as its display matrix says.

    Frames that cannot be decoded are left out.

    Args:
        wanted: times of the frames to convert, as `scan` gives them, ascending; None: all.
        report: gets a line with the number of frames that were left out.
        alive: called now and then.
    Yields:
        Presentation time in seconds on the file's own clock, and an RGB image.
    Raises:
        UserError: no such file, no plain file, empty, no video, a codec that is not read, beyond
            a limit, or not one frame decodes.
    """
    done = 0  # of those wanted
    with _opened(path) as (container, stream):
        count = 0
        for frame in _decoded(path, container, stream, report):
            count += 1
            time = float(frame.time)
            if wanted is not None:
                done = bisect_left(wanted, time - _SAME, done)
                if done == len(wanted):
                    return
                if wanted[done] > time + _SAME:
                    alive()
                    continue
            yield time, _turn(_to_rgb(frame), _display_matrix(frame))
        if not count:
            raise _no_frames(path)


def samples(path: Path, count: int) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
    """About `count` frames spread over a video; frames as in `frames`.

    Decodes only frames that others refer to, which is about half of them, or only key frames where
    half as many as wanted are keys; unfiltered at the edges of coded blocks, which is faster.
    """
    times = _times(path, lambda: None)
    wanted = list(np.linspace(times[0], times[-1], count + 1)[:-1])
    found = 0
    with _opened(path) as (container, stream):
        keys = sum(bool(packet.is_keyframe) for packet in _packets(container, stream))
    with _opened(path) as (container, stream):
        stream.codec_context.skip_frame = "NONKEY" if keys >= count / 2 else "NONREF"
        stream.codec_context.options |= {"skip_loop_filter": "all"}
        for frame in _decoded(path, container, stream):
            if wanted and frame.time >= wanted[0]:
                wanted = [time for time in wanted if time > frame.time]
                found += 1
                yield float(frame.time), _turn(_to_rgb(frame), _display_matrix(frame))
    if not found:
        raise _no_frames(path)


@contextmanager
def _opened(path: Path) -> Iterator[tuple["av.container.InputContainer", "av.VideoStream"]]:
    """The container and its best video stream."""
    _check_file(path)
    try:
        container = av.open(
            f"file:{path}", container_options=_OPEN_OPTIONS, metadata_errors="replace"
        )
    except (av.error.FFmpegError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise UserError(
            f"{path} is not a video that can be read ({reason}): "
            "expected a video file such as H.264 in .mp4; replace it"
        ) from None
    with container:
        stream = _best_stream(path, container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _THREADS
        stream.codec_context.options = {"max_pixels": str(limits.PIXELS)}
        yield container, stream


def _best_stream(path: Path, container: "av.container.InputContainer") -> "av.VideoStream":
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
    codec = stream.codec_context.name
    if codec not in _CODECS:
        raise UserError(
            f"{path} is coded as {codec}, which is not read: convert it, for example to H.264"
        )
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > limits.PIXELS:
        raise UserError(
            f"{path} declares frames of {width} x {height} pixels, at most "
            f"{limits.PIXELS / 1e6:.0f} million pixels are read: scale it down"
        )
    return stream


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb"):
                pass
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: put a video there") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise UserError(f"{path} cannot be read ({reason}): check its rights") from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is not a plain file: expected a video file")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): copy the video again")
    if status.st_size > limits.FILE_BYTES:
        raise UserError(
            f"{path} has {status.st_size >> 30} GiB, at most {limits.FILE_BYTES >> 30} are read: "
            "cut it into sequences"
        )


def _check_count(path: Path, count: int) -> None:
    if count > limits.FRAMES:
        raise UserError(f"{path} holds more than {limits.FRAMES} frames: cut it into sequences")


def _no_frames(path: Path) -> UserError:
    return UserError(f"{path} holds no frame that can be decoded: replace it or convert it again")


def _packets(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator["av.Packet"]:
    """Packets until the end or until nothing can be read any more."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _decoded(
    path: Path,
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    report: Report = lambda text: None,
) -> Iterator["av.VideoFrame"]:
    """Decode packet by packet, so that a damaged one costs its own frames only."""
    bad = count = 0
    rate = float(stream.average_rate or 30)
    ended = False
    # Without a packet the decoder gives what it still holds, where the file broke off.
    for packet in chain(_packets(container, stream), [None]):
        filled = packet is not None and packet.size > 0
        ended |= packet is not None and not filled  # the demuxer says so with an empty packet
        try:
            decoded = stream.codec_context.decode(packet)
        except (av.error.FFmpegError, EOFError):
            bad += filled
            continue
        for frame in decoded:
            if frame.pts is None:  # raw streams carry no times
                frame.time_base = Fraction(1, 90000)
                frame.pts = round(count / rate * 90000)
            count += 1
            _check_count(path, count)
            yield frame
    if bad or not ended:
        report(f"{path} is damaged: {count} frames are good, {bad} damaged parts were left out")


def _to_rgb(frame: "av.VideoFrame") -> UInt8[np.ndarray, "H W 3"]:
    """Convert as tagged; where no matrix is named, by size, as players do: BT.709 for HD."""
    untagged = int(frame.colorspace) == _UNSPECIFIED
    high = frame.width >= 1280 or frame.height > 576
    space = "ITU709" if untagged and high else None
    return frame.reformat(format="rgb24", src_colorspace=space, threads=1).to_ndarray()


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
