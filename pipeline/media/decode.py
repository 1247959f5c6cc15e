"""Frames of a video as RGB images, in the `worker` process."""

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pipeline.media.info import Window
from pipeline.media.opening import opened
from pipeline.media.packets import Alive, Report, decoded, no_frames, packets
from pipeline.media.pixels import display_matrix, to_rgb, turned
from pipeline.media.scan import presentation_times

_SAME = 1e-6  # seconds: times this close are one, however they were summed


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
        for frame in decoded(path, container, stream, report):
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
            image = turned(to_rgb(path, frame), display_matrix(frame))
            yield time, image if window is None else window.cut(image, str(path))
        if not count:
            raise no_frames(path)


def samples(path: Path, count: int) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"]]]:
    """About `count` frames spread over a video; frames as in `frames`.

    Decodes only frames that others refer to, which is about half of them, or only key frames where
    half as many as wanted are keys; unfiltered at the edges of coded blocks, which is faster.
    """
    times, *_ = presentation_times(path, lambda: None)
    wanted = list(np.linspace(times[0], times[-1], count + 1)[:-1])
    found = 0
    with opened(path) as (container, stream):
        keys = sum(bool(packet.is_keyframe) for packet in packets(container, stream))
    with opened(path) as (container, stream):
        stream.codec_context.skip_frame = "NONKEY" if keys >= count / 2 else "NONREF"
        stream.codec_context.options |= {"skip_loop_filter": "all"}
        for frame in decoded(path, container, stream):
            if wanted and frame.time >= wanted[0]:
                wanted = [time for time in wanted if time > frame.time]
                found += 1
                yield float(frame.time), turned(to_rgb(path, frame), display_matrix(frame))
    if not found:
        raise no_frames(path)
