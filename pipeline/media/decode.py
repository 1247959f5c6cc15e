"""Decode video files with PyAV, in the `worker` process."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar.base.errors import UserError
from pipeline.media import limits
from pipeline.media.info import VideoInfo, Window
from pipeline.media.opening import opened

_ALIVE_EVERY = 64  # packets
_SHORT = 0.2  # seconds by which a header's duration may exceed the frames
_SAME = 1e-6  # seconds: times this close are one, however they were summed
# Numbers of ITU-T H.273: matrices; unspecified matrix; transfer functions of high dynamic range.
_MATRICES = {
    0: "RGB", 8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "YDzDx",
    12: "chroma-derived", 13: "chroma-derived", 14: "ICtCp",
}  # fmt: skip
_UNSPECIFIED, _HDR = 2, {16: "PQ", 18: "HLG"}

Report = Callable[[str], None]
Alive = Callable[[], None]


def scan(path: Path, alive: Alive = lambda: None) -> VideoInfo:
    """Look into a video: decodes one frame and lists the times of all.

    Args:
        alive: called now and then.
    Raises:
        UserError: as `frames`.
    """
    with opened(path) as (container, stream):
        first = next(_decoded(path, container, stream), None)
        if first is None:
            raise _no_frames(path)
        matrix = _display_matrix(first)
        height, width = _turn(np.empty((first.height, first.width, 0), np.uint8), matrix).shape[:2]
        codec, pixel_format = str(stream.codec_context.name), str(first.format.name)
        remarks = _remarks(first, stream)
        _to_rgb(path, first)  # raises where its colours cannot be converted
    times, packets, repeated = _times(path, alive)
    remarks += _shortfall(path, times, packets)
    if repeated:
        remarks.append(f"{repeated} frames have the time of another one: they are left out")
    return VideoInfo(width, height, times, codec, pixel_format, matrix.tolist(), remarks)


def _shortfall(path: Path, times: Float[np.ndarray, "N"], packets: int) -> list[str]:
    """Whether the header promises more than is there: the file broke off."""
    with opened(path) as (container, stream):
        if stream.frames > packets:
            return [f"it breaks off: {packets} of {stream.frames} frames are there"]
        said = container.duration
        alone = len(container.streams) == 1
    if said is None or stream.frames or not alone:  # sound may last longer
        return []
    # Most such containers count from zero, wherever the first frame is; where times are negative,
    # from the first frame.
    promised, there = said / 1e6, float(times[-1] - min(0, times[0]))
    frame = float(times[-1] - times[0]) / max(1, len(times) - 1)
    if promised - there > max(_SHORT, 3 * frame):
        return [f"it breaks off: {len(times)} frames, {there:.1f} of {promised:.1f} s are there"]
    return []


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
    if _has_alpha(frame) or stream.metadata.get("alpha_mode") == "1":
        remarks.append(
            "its alpha channel is not used as the matte: give numbered PNG images instead"
        )
    return remarks


def _has_alpha(frame: "av.VideoFrame") -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _times(path: Path, alive: Alive) -> tuple[Float[np.ndarray, "N"], int, int]:
    """Presentation times (s, ascending) of a video's frames.

    Decodes only where it must.

    Returns:
        The times, each once; how many packets there are; how many times are repeated.
    """
    stamps: list[int | None] = []
    packets = 0
    with opened(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                packets += packet.size > 0
                if packet.size and not packet.is_discard:
                    stamps.append(packet.pts)
                _check_count(path, packets)
                if packets % _ALIVE_EVERY == 0:
                    alive()
        except av.error.FFmpegError:  # a broken tail: decoding says which frames are good
            stamps = []
        unit = stream.time_base
        if stamps and None not in stamps and unit is not None:
            unique = np.unique(np.array(stamps, np.int64))
            return unique * float(unit), packets, len(stamps) - len(unique)
    times = []
    with opened(path) as (container, stream):
        for frame in _decoded(path, container, stream):
            times.append(float(frame.time))
            alive()
    if not times:
        raise _no_frames(path)
    return np.unique(times), packets, len(times) - len(np.unique(times))


def frames(
    path: Path,
    wanted: list[float] | None = None,
    window: Window | None = None,
    report: Report = lambda text: None,
    alive: Alive = lambda: None,
) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
    """Frames of a video in order, turned and mirrored as its display matrix says.

    Frames that cannot be decoded are left out; of frames with one time the first is given.

    Args:
        wanted: times of the frames to convert, as `scan` gives them, ascending; None: all.
        window: the part of the frames to give; None: whole frames.
        report: gets a line with the number of frames that were left out.
        alive: called now and then.
    Yields:
        Presentation time in seconds on the file's own clock, and an RGB image.
    Raises:
        UserError: no such file, no plain file, empty, no video, a codec that is not read, beyond
            a limit, a frame that is not of the window's size, or not one frame decodes.
    """
    done = 0  # of those wanted
    before = -np.inf
    with opened(path) as (container, stream):
        count = 0
        for frame in _decoded(path, container, stream, report):
            count += 1
            time = float(frame.time)
            if time <= before + _SAME:  # one frame a time
                continue
            before = time
            if wanted is not None:
                done = bisect_left(wanted, time - _SAME, done)
                if done == len(wanted):
                    return
                if wanted[done] > time + _SAME:
                    alive()
                    continue
            image = _turn(_to_rgb(path, frame), _display_matrix(frame))
            yield time, image if window is None else window.cut(image, str(path))
        if not count:
            raise _no_frames(path)


def samples(path: Path, count: int) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
    """About `count` frames spread over a video; frames as in `frames`.

    Decodes only frames that others refer to, which is about half of them, or only key frames where
    half as many as wanted are keys; unfiltered at the edges of coded blocks, which is faster.
    """
    times, *_ = _times(path, lambda: None)
    wanted = list(np.linspace(times[0], times[-1], count + 1)[:-1])
    found = 0
    with opened(path) as (container, stream):
        keys = sum(bool(packet.is_keyframe) for packet in _packets(container, stream))
    with opened(path) as (container, stream):
        stream.codec_context.skip_frame = "NONKEY" if keys >= count / 2 else "NONREF"
        stream.codec_context.options |= {"skip_loop_filter": "all"}
        for frame in _decoded(path, container, stream):
            if wanted and frame.time >= wanted[0]:
                wanted = [time for time in wanted if time > frame.time]
                found += 1
                yield float(frame.time), _turn(_to_rgb(path, frame), _display_matrix(frame))
    if not found:
        raise _no_frames(path)


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
    """Decode packet by packet, so that damage costs its own frames only.

    After damage a decoder goes on from pictures that it made up: what it gives then is left out
    until a key frame, which needs no other.
    """
    lost = count = number = 0
    rate = float(stream.average_rate or 30)
    ended = doubtful = False
    # Without a packet the decoder gives what it still holds, where the file broke off.
    for packet in chain(_packets(container, stream), [None]):
        filled = packet is not None and packet.size > 0
        ended |= packet is not None and not filled  # the demuxer says so with an empty packet
        try:
            decoded = stream.codec_context.decode(packet)
        except (av.error.FFmpegError, EOFError):
            lost += filled
            doubtful |= filled
            continue
        for frame in decoded:
            if frame.pts is None:  # raw streams carry no times
                frame.time_base = Fraction(1, 90000)
                frame.pts = round(number / rate * 90000)
            number += 1
            _check_count(path, number)
            doubtful = bool(frame.is_corrupt) or (doubtful and not frame.key_frame)
            if doubtful:
                lost += 1
                continue
            count += 1
            yield frame
    if lost or not ended:
        report(f"{path} is damaged: {count} frames are good, {lost} were left out")


def _to_rgb(path: Path, frame: "av.VideoFrame") -> UInt8[np.ndarray, "H W 3"]:
    """Convert as tagged; where no matrix is named, by size, as players do: BT.709 for HD.

    Transparent pixels are composited over black.

    Raises:
        UserError: the colours are coded by a matrix that cannot be converted.
    """
    untagged = int(frame.colorspace) == _UNSPECIFIED
    high = frame.width >= 1280 or frame.height > 576
    space = "ITU709" if untagged and high else None
    kind = "rgba" if _has_alpha(frame) else "rgb24"
    try:
        image = frame.reformat(format=kind, src_colorspace=space, threads=1).to_ndarray()
    except (av.error.FFmpegError, ValueError, OSError):
        matrix = _MATRICES.get(int(frame.colorspace), f"number {int(frame.colorspace)}")
        raise UserError(
            f"{path}: its colours are coded by the matrix {matrix}, which is not supported: "
            "convert it to BT.709, for example to H.264 in yuv420p"
        ) from None
    if kind == "rgb24":
        return image
    weighted = image[..., :3].astype(np.uint16) * image[..., 3:]
    return ((weighted + 127) // 255).astype(np.uint8)


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
