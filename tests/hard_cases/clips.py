"""Videos made on the spot."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np


def pictures(count: int = 8, width: int = 64, height: int = 48, first: int = 0) -> list[np.ndarray]:
    """Smooth pictures that move a little."""
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    wide = cv2.resize(noise, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(np.roll(wide, -(first + k), 1)[:, :width]) for k in range(count)]


def encode(
    path: Path,
    frames: list[np.ndarray] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    stamps: list[int] | None = None,
    mux: dict[str, str] | None = None,
    container: str | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    **options: str,
) -> Path:
    """Write a video; `stamps` are presentation times in thirtieths of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = pictures() if frames is None else frames
    with av.open(str(path), "w", format=container, options=mux or {}) as file:
        stream = file.add_stream(codec, rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 30)
        stream.options = options
        prepare(stream)
        for k, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            frame.pts = k if stamps is None else stamps[k]
            frame.time_base = Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def raw_h264(path: Path, frames: list[np.ndarray]) -> bytes:
    return encode(path, frames, container="h264").read_bytes()


def skip_frames(path: Path, count: int) -> None:
    """Make an MP4's edit list start `count` frames in (ISO 14496-12, 8.6.6)."""
    data = bytearray(path.read_bytes())
    header = data.index(b"mdhd")  # version 0: creation, modification, timescale
    timescale = int.from_bytes(data[header + 16 : header + 20], "big")
    start = data.index(b"elst") + 4 + 4 + 4  # version and flags, number of entries
    duration, media_time = struct.unpack(">Ii", data[start : start + 8])
    cut = count * timescale // 30
    movie_timescale = int.from_bytes(data[data.index(b"mvhd") + 16 :][:4], "big")
    entry = struct.pack(">Ii", duration - count * movie_timescale // 30, media_time + cut)
    data[start : start + 8] = entry
    path.write_bytes(data)
