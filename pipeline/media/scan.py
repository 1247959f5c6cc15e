"""What a video file holds, decoding as little as possible, in the `worker` process."""

from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from pipeline.media.info import VideoInfo
from pipeline.media.opening import opened
from pipeline.media.packets import Alive, check_count, decoded, no_frames
from pipeline.media.pixels import display_matrix, has_alpha, to_rgb, turned

_ALIVE_EVERY = 64  # packets
_SHORT = 0.2  # seconds by which a header's duration may exceed the frames
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions of ITU-T H.273 with high dynamic range


def scan(path: Path, alive: Alive = lambda: None) -> VideoInfo:
    """List the times of all frames; decodes one frame.

    Args:
        alive: called now and then.
    Raises:
        UserError: as `frames`.
    """
    with opened(path) as (container, stream):
        first = next(decoded(path, container, stream), None)
        if first is None:
            raise no_frames(path)
        matrix = display_matrix(first)
        height, width = turned(np.empty((first.height, first.width, 0), np.uint8), matrix).shape[:2]
        codec, pixel_format = str(stream.codec_context.name), str(first.format.name)
        remarks = _remarks(first, stream)
        to_rgb(path, first)  # raises where its colours cannot be converted
    times, packets, repeated = presentation_times(path, alive)
    remarks += _shortfall(path, times, packets)
    if repeated:
        remarks.append(
            f"{repeated} of {packets} frames repeat the time of another one: they are left out"
        )
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
    if has_alpha(frame) or stream.metadata.get("alpha_mode") == "1":
        remarks.append(
            "its alpha channel is not used as the matte: give numbered PNG images instead"
        )
    return remarks


def presentation_times(path: Path, alive: Alive) -> tuple[Float[np.ndarray, "N"], int, int]:
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
                check_count(path, packets)
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
        for frame in decoded(path, container, stream):
            times.append(float(frame.time))
            alive()
    if not times:
        raise no_frames(path)
    return np.unique(times), packets, len(times) - len(np.unique(times))
