"""Read videos: what the rest of the pipeline calls."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from pipeline.media.ask import ask
from pipeline.media.info import VideoInfo, Window

log = logging.getLogger(__name__)
Image = UInt8[np.ndarray, "H W 3"]


def probe(path: str | Path) -> VideoInfo:
    """Size, coding and the times of all frames of a video; decodes one frame.

    Raises:
        UserError: no such file, no plain file, empty, no video, a codec that is not read, beyond
            a limit, or not one frame decodes.
    """
    path = Path(path)
    try:
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
    except OSError:  # the worker reports the error
        stamp = (0, 0)
    return _probe(path, stamp)


@lru_cache(maxsize=4096)
def _probe(path: Path, stamp: tuple[int, int]) -> VideoInfo:
    """`stamp` makes a file that changed another one."""
    request = {"task": "scan", "folder": os.getcwd(), "path": str(path)}
    (message,) = ask(request, log.warning)
    return VideoInfo.from_json(message["info"])


def frame_times(path: str | Path) -> Float[np.ndarray, "N"]:
    """Presentation times (s, ascending) of a video's frames; raises as `probe`."""
    return probe(path).times


def read_video(
    path: str | Path,
    wanted: list[float] | None = None,
    window: Window | None = None,
    remark: Callable[[str], None] = log.warning,
) -> Iterator[tuple[float, Image]]:
    """Frames of a video in order, turned and mirrored as its display matrix says.

    Frames that cannot be decoded are left out; `remark` gets a line with their number.

    Args:
        wanted: times of the frames to convert, as `frame_times` gives them; None: all.
        window: the part of the frames to give; None: whole frames.
    Yields:
        Presentation time in seconds on the file's own clock, and an RGB image.
    Raises:
        UserError: as `probe`, or a frame that is not of the window's size.
    """
    part = None if window is None else asdict(window)
    request = {"task": "frames", "path": str(path), "wanted": wanted, "window": part}
    yield from _frames(request, remark)


def sample_frames(path: str | Path, count: int) -> Iterator[Image]:
    """About `count` frames spread over a video; frames as in `read_video`.

    Their edges of coded blocks are not smoothed: good for finding things, not for storing.

    Raises:
        UserError: as `probe`.
    """
    request = {"task": "samples", "path": str(path), "count": count}
    for _, image in _frames(request, log.warning):
        yield image


def _frames(
    request: dict[str, Any], remark: Callable[[str], None]
) -> Iterator[tuple[float, Image]]:
    for message in ask(request | {"folder": os.getcwd()}, remark):
        yield message["time"], message["image"]
