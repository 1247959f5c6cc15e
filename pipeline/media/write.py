"""Write H.264 videos, and ProRes 4444 videos with alpha."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from avatar.base import files

if TYPE_CHECKING:
    import av


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: float,
    crf: int = 18,
    preset: str = "fast",
) -> None:
    """Write an H.264 video (yuv420p, BT.709, limited range), atomically.

    Args:
        path: ends in `.mp4`.
        frames: RGB images of one size; an odd width or height is padded by repeating the edge.
        fps: frames per second.
        crf: x264's constant rate factor, 0 (lossless) to 51.
        preset: x264's; how much time it takes.
    Raises:
        ValueError: no frames, or frames of different sizes.
    """
    import av  # who only reads leaves it to the worker

    with files.atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": preset}
        _tag_colours(stream.codec_context)
        shape = None
        for image in frames:
            if shape is None:
                shape = image.shape
                stream.height, stream.width = (size + size % 2 for size in shape[:2])
            if image.shape != shape:
                raise ValueError(f"{path}: frame of shape {image.shape} after {shape}")
            if any(size % 2 for size in shape[:2]):
                image = np.pad(image, [(0, size % 2) for size in shape[:2]] + [(0, 0)], "edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            yuv = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            _tag_colours(yuv)
            container.mux(stream.encode(yuv))
        if shape is None:
            raise ValueError(f"{path}: no frames to write")
        container.mux(stream.encode())


def write_alpha_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "H W 4"]], fps: float
) -> None:
    """Write a ProRes 4444 video (10 bits, 4:4:4, 16 bits of alpha), atomically.

    Args:
        path: ends in `.mov`.
        frames: RGBA images of one size, straight alpha.
        fps: frames per second.
    Raises:
        ValueError: no frames, or frames of different sizes.
    """
    import av

    with files.atomic(path) as temporary, av.open(str(temporary), "w", format="mov") as container:
        stream = container.add_stream("prores_ks", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuva444p10le"
        stream.options = {"profile": "4444", "alpha_bits": "16"}
        _tag_colours(stream.codec_context)
        shape = None
        for image in frames:
            if shape is None:
                shape = image.shape
                stream.height, stream.width = shape[:2]
            if image.shape != shape:
                raise ValueError(f"{path}: frame of shape {image.shape} after {shape}")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgba")
            yuv = frame.reformat(
                format="yuva444p10le", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            _tag_colours(yuv)
            container.mux(stream.encode(yuv))
        if shape is None:
            raise ValueError(f"{path}: no frames to write")
        container.mux(stream.encode())


def _tag_colours(target: "av.VideoFrame | av.VideoCodecContext") -> None:
    """Tag the colours that `write_video` converts to; without tags players guess by size."""
    target.colorspace, target.color_range = 1, 1  # BT.709, limited
    target.color_primaries, target.color_trc = 1, 1
