"""Damaged and cut files."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.hard_cases.case import NO_FACE, case
from tests.hard_cases.clips import encode, pictures, raw_h264


def _cut(suffix: str, percent: int) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = encode(folder / f"a{suffix}", pictures(60, 160, 120), g="1")
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * percent // 100])
        return path

    return build


for _percent in (10, 50, 90):
    case(f".mp4 cut at {_percent} %, its index was at the end", "error", "", quick=_percent == 50)(
        _cut(".mp4", _percent)
    )
    case(f".mkv cut at {_percent} %", "warn", "it breaks off: ", quick=_percent == 50)(
        _cut(".mkv", _percent)
    )
    # A transport stream does not say how long it should be.
    case(f".ts cut at {_percent} %", "warn", "")(_cut(".ts", _percent))


@case(".mp4 with its index in front cut at 50 %", "warn", "of 60 frames are there", quick=True)
def cut_fast_start(folder: Path) -> Path:
    path = encode(folder / "a.mp4", pictures(60, 160, 120), mux={"movflags": "faststart"}, g="12")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@case(".mkv with 60 bytes changed", "warn", "a.mkv")
def flipped(folder: Path) -> Path:
    # The same bytes are hit only where the file is the same each time: no random numbers in it,
    # and none of x264's looking ahead, whose outcome wavers.
    exact, steady = {"fflags": "+bitexact"}, {"x264-params": "mbtree=0:rc-lookahead=0"}
    images = pictures(60, 160, 120)
    path = encode(folder / "a.mkv", images, g="12", threads="1", mux=exact, **steady)
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(1).integers(3000, len(data), 60):
        data[place] ^= 255
    path.write_bytes(data)
    return path


@case("frames that change their size midway", "error", "expected 64 x 48 as before", quick=True)
def size_changes(folder: Path) -> Path:
    path = folder / "a.h264"
    small, large = (
        raw_h264(folder / "b.h264", pictures(8, width, height))
        for width, height in ((64, 48), (128, 96))
    )
    (folder / "b.h264").unlink()
    path.write_bytes(small + large)
    return path


@case(
    "frames that declare 65535 x 65535 pixels", "error", "no frame that can be decoded", quick=True
)
def huge(folder: Path) -> Path:
    path = encode(folder / "a.avi", codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    place = 0
    while (place := data.find(b"\xff\xc0\x00\x11\x08", place)) >= 0:
        data[place + 5 : place + 9] = b"\xff" * 4  # height and width of the JPEG's frame header
        place += 9
    path.write_bytes(data)
    return path


@case("a header that declares 10000 x 10000 pixels", "error", "at most 67 million pixels")
def huge_header(folder: Path) -> Path:
    path = encode(folder / "a.avi", codec="ffv1")
    data = bytearray(path.read_bytes())
    start = data.index(b"strf") + 12  # after its size and the size of BITMAPINFOHEADER
    data[start : start + 8] = struct.pack("<ii", 10000, 10000)
    path.write_bytes(data)
    return path


@case("a chosen span of damaged frames", "error", "holds 0 whole frames", settings={"start": 0.2})
def damaged_span(folder: Path) -> Path:
    path = encode(folder / "a.avi", pictures(12), codec="mjpeg", pix_fmt="yuvj420p")
    data = path.read_bytes()
    starts = [k for k in range(len(data)) if data.startswith(b"\xff\xd8", k)]
    for start in starts[5:]:
        size = int.from_bytes(data[start - 4 : start], "little")
        data = data[:start] + bytes(size) + data[start + size :]
    path.write_bytes(data)
    return path


@case("one frame", "error", "holds 1 whole frames", quick=True)
def one_frame(folder: Path) -> Path:
    return encode(folder / "a.mp4", pictures(1))


@case("two frames", "warn", NO_FACE)
def two_frames(folder: Path) -> Path:
    return encode(folder / "a.mp4", pictures(2))


@case("a gap of 60 s", "warn", "a gap of 18", quick=True)
def gap(folder: Path) -> Path:
    return encode(folder / "a.mkv", stamps=[0, 1, 2, 3, 1803, 1804, 1805, 1806])


@case("music with a cover picture", "error", "holds no video stream")
def cover(folder: Path) -> Path:
    path = folder / "a.mp4"
    with av.open(str(path), "w") as file:
        sound = file.add_stream("aac", rate=44100)
        picture = file.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")
        file.mux(picture.encode(frame.reformat(format="yuvj420p")))
        file.mux(picture.encode())
        tone = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp")
        tone.sample_rate = 44100
        file.mux(sound.encode(tone))
        file.mux(sound.encode())
    return path
