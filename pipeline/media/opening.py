"""Open a video file: what may be read at all.

Only container formats that hold their own frames and codecs of cameras and editors are opened; the
file is the one thing FFmpeg may read.
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from avatar.base.errors import UserError
from pipeline.media import limits

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


@contextmanager
def opened(path: Path) -> Iterator[tuple["av.container.InputContainer", "av.VideoStream"]]:
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
        kinds = ", ".join(
            sorted({"a still" if s.type == "video" else s.type for s in container.streams})
        )
        raise UserError(
            f"{path} holds no video stream (only {kinds or 'nothing'}): give a video file"
        )
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
