"""Videos as cameras and editors write them."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.hard_cases.case import NO_FACE, case
from tests.hard_cases.clips import encode, pictures, skip_frames


def _coded(name: str, **options: Any) -> Callable[[Path], Path]:
    return lambda folder: encode(folder / name, **options)


_TAGS: dict[str, Callable[[Any], None]] = {
    "pq": lambda s: setattr(s.codec_context, "color_trc", 16),
    "wide": lambda s: setattr(s.codec_context, "sample_aspect_ratio", Fraction(4, 3)),
}
case("HEVC, 10 bits", "warn", NO_FACE, quick=True)(
    _coded("a.mp4", codec="libx265", pix_fmt="yuv420p10le", **{"x265-params": "log-level=none"})
)
case("VP9 in .webm", "warn", NO_FACE)(_coded("a.webm", codec="libvpx-vp9"))
case("VP8 in .webm", "warn", NO_FACE)(_coded("a.webm", codec="libvpx"))
case("AV1 in .mkv", "warn", NO_FACE)(_coded("a.mkv", codec="libsvtav1"))
case("MJPEG in .avi, full range", "warn", NO_FACE)(
    _coded("a.avi", codec="mjpeg", pix_fmt="yuvj420p")
)
case("ProRes 4:2:2, 10 bits, in .mov", "warn", NO_FACE, quick=True)(
    _coded("a.mov", codec="prores_ks", pix_fmt="yuv422p10le")
)
case("ProRes 4444 with alpha", "warn", NO_FACE)(
    _coded("a.mov", codec="prores_ks", pix_fmt="yuva444p10le")
)
case("FFV1 in .mkv", "warn", NO_FACE)(_coded("a.mkv", codec="ffv1"))
case("MPEG-2 in .mpg", "warn", NO_FACE)(_coded("a.mpg", codec="mpeg2video"))
case("MPEG-4 part 2 in .avi", "warn", NO_FACE)(_coded("a.avi", codec="mpeg4"))
case("H.264 4:4:4, odd size 161 x 121", "warn", NO_FACE, quick=True)(
    lambda folder: encode(folder / "a.mkv", pictures(8, 161, 121), pix_fmt="yuv444p")
)
case("H.264 in grey", "warn", NO_FACE)(_coded("a.mkv", pix_fmt="gray"))
case("bare H.264 without times", "warn", NO_FACE)(_coded("a.h264", container="h264"))
case("a codec that is not read (WMV)", "error", "is coded as wmv2", quick=True)(
    _coded("a.avi", codec="wmv2")
)
case("uncompressed video in .avi", "error", "is coded as rawvideo")(
    _coded("a.avi", codec="rawvideo")
)
case("HDR (PQ)", "warn", "its colours are HDR")(_coded("a.mkv", prepare=_TAGS["pq"]))
case("pixels that are not square", "warn", "its pixels are not square")(
    _coded("a.mkv", prepare=_TAGS["wide"])
)
case("16 x 16 pixels", "warn", NO_FACE)(
    lambda folder: encode(folder / "a.mp4", pictures(8, 16, 16))
)
case("64 x 2048 pixels", "warn", NO_FACE)(
    lambda folder: encode(folder / "a.mp4", pictures(4, 64, 2048))
)
case("variable frame rate", "warn", NO_FACE)(_coded("a.mkv", stamps=[0, 1, 3, 4, 6, 7, 9, 10]))
case("variable frame rate, kept at 10 frames/s", "warn", NO_FACE, settings={"fps": 10})(
    _coded("a.mkv", stamps=[0, 1, 3, 4, 6, 7, 9, 10])
)
case("times that start at one hour", "warn", NO_FACE)(
    _coded("a.mkv", stamps=[108_000 + k for k in range(8)])
)
case("frames with one time twice", "warn", "1 of 8 frames repeat the time of another one")(
    _coded("a.mkv", codec="ffv1", stamps=[0, 1, 2, 2, 3, 4, 5, 6])
)
case("one frame per second", "warn", "1 frames per second")(
    _coded("a.mkv", stamps=[30 * k for k in range(8)])
)
case("one picture 61 times", "warn", "nothing moves in 61 frames")(
    lambda folder: encode(folder / "a.mp4", pictures(1) * 61)
)
case("a cut to another scene", "warn", "cut to another picture at frame 20")(
    lambda folder: encode(folder / "a.mp4", pictures(20) + [255 - p for p in pictures(20)])
)
case("exposure that drops by a third", "warn", "exposure varies by up to")(
    lambda folder: encode(
        folder / "a.mp4", pictures(20) + [(0.67 * p).astype(np.uint8) for p in pictures(20)[::-1]]
    )
)
case("colours in YCgCo", "error", "the matrix YCgCo, which is not supported")(
    _coded("a.mkv", prepare=lambda s: setattr(s.codec_context, "colorspace", 8))
)
case("fragmented .mp4", "warn", NO_FACE)(
    _coded("a.mp4", mux={"movflags": "frag_keyframe+empty_moov"})
)


@case("edit list that leaves out the first frames", "warn", NO_FACE, quick=True)
def edit_list(folder: Path) -> Path:
    path = encode(folder / "a.mp4", pictures(20), g="20", bf="0")
    skip_frames(path, 5)
    return path


for _turn, _matrix in {
    "90": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
}.items():

    def _turned(folder: Path, matrix: tuple[int, ...] = _matrix) -> Path:
        path = encode(folder / "a.mp4")
        data = bytearray(path.read_bytes())
        start = data.index(b"tkhd") + 4 + 40
        a, b, c, d = (65536 * entry for entry in matrix)
        data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data)
        return path

    case(f"rotation tag: {_turn}", "warn", NO_FACE)(_turned)

for _odd in (
    "a;touch PWNED.mp4",
    "-i.mp4",
    "a b'\"$(touch PWNED).mp4",
    "http:x.mp4",
    "%05d.mp4",
    "ü \u202e\U0001f600.mp4",
    "two\nlines.mp4",
    "x" * 240 + ".mp4",
):
    shown = _odd if len(_odd) < 40 else "(244 letters)"
    case(f"file name {shown!r}", "warn", NO_FACE, quick=_odd.startswith("a;"))(_coded(_odd))
