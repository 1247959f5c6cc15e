"""Inputs that people really have, and some that nobody should: what ingest must make of each.

Every case builds a capture in an empty folder and says how ingest ends: `error` (one line, exit
code 2), `warn` or `pass` (exit code 0, `quality.json` says so), and a part of the message.
`benchmarks/hard_inputs.py` runs them all and prints docs/hard_inputs.md; tests run the quick ones.
"""

import json
import os
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from tests.media_files import CLIPS, camera, write_cameras

NO_FACE = "no face was found"


@dataclass(frozen=True)
class Case:
    """One hard input.

    Attributes:
        name: what the table calls it.
        build: fills a folder and returns the capture's path.
        outcome: `error`, `warn` or `pass`.
        message: part of the error line or of a quality message.
        quick: whether the tests run it.
        settings: of ingest.
        plain_user: whether root must give up its right to read everything.
    """

    name: str
    build: Callable[[Path], Path]
    outcome: str
    message: str = ""
    quick: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    plain_user: bool = False


CASES: list[Case] = []


def case(
    name: str, outcome: str, message: str = "", **options: Any
) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    def register(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES.append(Case(name, build, outcome, message, **options))
        return build

    return register


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


def real(name: str) -> Callable[[Path], Path]:
    """A copy of a real clip."""

    def build(folder: Path) -> Path:
        return Path(shutil.copy(CLIPS / "hard_clips" / name, folder / name))

    return build


for _name, _outcome, _message in (
    ("audio_only.mp3", "error", "holds no video stream (only audio)"),
    ("broken_audio_track.mp4", "pass", ""),
    ("clean_reference.mp4", "pass", ""),
    ("hevc_10bit_no_face.mp4", "warn", NO_FACE),
    ("lying_face_no_rotation_tag.mp4", "warn", "the head lies at -87 degrees"),
    ("mkv_no_frame_count.mkv", "pass", ""),
    ("no_person.mp4", "warn", NO_FACE),
    ("rotate90_and_mirror_tag.mp4", "warn", "the head lies at -87 degrees"),
    ("second_empty_video_stream.mp4", "pass", ""),
    ("two_faces_320x192_12fps.yuv", "error", "is not a video that can be read"),
    ("video_only.mp4", "pass", ""),
    ("wrong_box_size.mp4", "pass", ""),
):
    case(_name, _outcome, _message)(real(_name))


@case("two faces (the .yuv above as .mp4)", "warn", "2 faces at once")
def two_faces(folder: Path) -> Path:
    data = np.fromfile(CLIPS / "hard_clips/two_faces_320x192_12fps.yuv", np.uint8)
    frames = [
        cv2.cvtColor(frame.reshape(288, 320), cv2.COLOR_YUV2RGB_I420)
        for frame in data.reshape(9, 288 * 320)
    ]
    return encode(folder / "two.mp4", frames, crf="10")


# --- no video at all ---


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return build


case("0 bytes", "error", "is empty (0 bytes)", quick=True)(_bytes("a.mp4", b""))
case("text renamed .mp4", "error", "is not a video", quick=True)(
    _bytes("a.mp4", b"This is not a video.\n" * 200)
)
case("random bytes", "error", "is not a video")(
    _bytes("a.mp4", np.random.default_rng(0).bytes(100_000))
)
case("zeros", "error", "is not a video")(_bytes("a.mp4", bytes(100_000)))
case("HLS playlist naming another file", "error", "is not a video", quick=True)(
    _bytes("a.mp4", b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n")
)
case("HLS playlist naming an address", "error", "is not a video")(
    _bytes("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://localhost/x.ts\n#EXT-X-ENDLIST\n")
)
case("concat list naming another file", "error", "is not a video", quick=True)(
    _bytes("a.mp4", b"ffconcat version 1.0\nfile '/etc/hostname'\n")
)
case("session description", "error", "is not a video")(
    _bytes("a.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n")
)
case("DASH manifest", "error", "is not a video")(
    _bytes("a.mp4", b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>")
)


@case("archive renamed .mp4", "error", "is not a video")
def archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.mp4", "w") as file:
        file.writestr("a.txt", "x" * 1000)
    return folder / "a.mp4"


@case("photograph renamed .mp4", "error", "is not a video")
def photograph(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(cv2.imencode(".jpg", pictures(1)[0])[1].tobytes())
    return folder / "a.mp4"


@case("absent", "error", "does not exist", quick=True)
def absent(folder: Path) -> Path:
    return folder / "nobody.mp4"


@case("named pipe", "error", "is not a plain file", quick=True)
def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.mp4")
    return folder / "a.mp4"


@case("socket", "error", "is not a plain file")
def unix_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as end:
        here = os.open(folder, os.O_RDONLY)
        end.bind(f"/proc/self/fd/{here}/a.mp4")
        os.close(here)
    return folder / "a.mp4"


@case("device", "error", "is not a plain file")
def device(folder: Path) -> Path:
    (folder / "a.mp4").symlink_to("/dev/zero")
    return folder / "a.mp4"


@case("folder named .mp4", "error", "expected exactly one video", quick=True)
def folder_named_video(folder: Path) -> Path:
    (folder / "a.mp4").mkdir()
    return folder / "a.mp4"


@case("link to a video", "warn", NO_FACE, quick=True)
def link(folder: Path) -> Path:
    encode(folder / "elsewhere" / "b.mp4")
    (folder / "a.mp4").symlink_to(folder / "elsewhere" / "b.mp4")
    return folder / "a.mp4"


@case("link to nothing", "error", "does not exist")
def dangling(folder: Path) -> Path:
    (folder / "a.mp4").symlink_to(folder / "gone.mp4")
    return folder / "a.mp4"


@case("link to itself", "error", "does not exist", quick=True)
def loop(folder: Path) -> Path:
    (folder / "a.mp4").symlink_to(folder / "a.mp4")
    return folder / "a.mp4"


@case("no right to read it", "error", "cannot be read (Permission denied)", plain_user=True)
def unreadable(folder: Path) -> Path:
    encode(folder / "a.mp4").chmod(0)
    return folder / "a.mp4"


# --- damaged ---


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


# --- how cameras and editors write ---


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
case("fragmented .mp4", "warn", NO_FACE)(
    _coded("a.mp4", mux={"movflags": "frag_keyframe+empty_moov"})
)


@case("edit list that leaves out the first frames", "warn", NO_FACE, quick=True)
def edit_list(folder: Path) -> Path:
    path = encode(folder / "a.mp4", pictures(20), g="20", bf="0")
    skip_frames(path, 5)
    return path


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


# --- folders ---


def two_cameras(folder: Path, frames: int = 8, **changes: Any) -> Path:
    """A calibrated capture of one sequence and two cameras."""
    for name in ("0", "1"):
        encode(folder / f"c/talk/cam_{name}.mp4", pictures(frames))
    write_cameras(folder / "c", {"0": camera(), "1": camera(**changes)})
    return folder / "c"


def _rig(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: two_cameras(folder, **changes)


def _touched(*names: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / "c").mkdir()
        for name in names:
            path = folder / "c" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return folder / "c"

    return build


case("two calibrated cameras", "pass", quick=True)(two_cameras)
case("empty folder", "error", "found nothing", quick=True)(_touched())
case("two videos in a folder", "error", "found a.mp4, b.mp4")(_touched("a.mp4", "b.mp4"))
case("a video beside a sequence", "error", "holds both")(_touched("a.mp4", "talk/cam_0.mp4"))
case("a sequence without clips", "error", "no <sequence>/cam_<id>.mp4")(_touched("talk/x.txt"))
case("a clip that is no cam_<id>", "error", "expected the name cam_<id>")(_touched("talk/l.mp4"))
case("a camera twice", "error", "are both camera '0'")(_touched("talk/cam_0.mp4", "talk/cam_0.mov"))
case("sequence name 'x;y z'", "error", "is not allowed")(_touched("x;y z/cam_0.mp4"))
case("camera name 'a;touch X'", "error", "is not allowed", quick=True)(
    _touched("talk/cam_a;touch X.mp4")
)
case("two cameras without calibration", "error", "no cameras.json")(
    _touched("talk/cam_0.mp4", "talk/cam_1.mp4")
)
case("calibration in millimetres", "error", "units are 'mm'")(
    lambda folder: _calibration(folder, units="mm")
)
case("calibration of another version", "error", 'expected {"version": 1')(
    lambda folder: _calibration(folder, version=7)
)
case("calibration without cameras", "error", "names no camera")(
    lambda folder: _calibration(folder, cameras={})
)
case("calibration without K", "error", "lacks K")(lambda folder: _entry(folder, K=None))
case("calibration with a K of 2 x 2", "error", "K has shape (2, 2)")(
    lambda folder: _entry(folder, K=[[1, 0], [0, 1]])
)
case("calibration that holds NaN", "error", "holds NaN", quick=True)(
    lambda folder: _entry(folder, K=[[float("nan"), 0, 1], [0, 1, 1], [0, 0, 1]])
)
case("calibration with a scaled rotation", "error", "is no rotation")(
    lambda folder: _entry(folder, viewmat=np.diag([1000.0, 1000, 1000, 1]).tolist())
)
case("calibration for frames of another size", "error", "expected 128 x 48", quick=True)(
    _rig(width=128)
)
case("a camera 10 s late: no frame in common", "error", "has no frame at the times")(
    _rig(time_offset=10)
)


def _calibration(folder: Path, **changes: Any) -> Path:
    capture = two_cameras(folder)
    value = json.loads((capture / "cameras.json").read_text()) | changes
    (capture / "cameras.json").write_text(json.dumps(value))
    return capture


def _entry(folder: Path, **changes: Any) -> Path:
    capture = two_cameras(folder)
    value = json.loads((capture / "cameras.json").read_text())
    entry = value["cameras"]["1"] | changes
    value["cameras"]["1"] = {key: item for key, item in entry.items() if item is not None}
    (capture / "cameras.json").write_text(json.dumps(value))
    return capture


@case("calibration that is no JSON", "error", "not readable as JSON")
def no_json(folder: Path) -> Path:
    (two_cameras(folder) / "cameras.json").write_text('{"version": 1')
    return folder / "c"


@case("calibration that is a named pipe", "error", "is not a plain file", quick=True)
def pipe_calibration(folder: Path) -> Path:
    capture = two_cameras(folder)
    (capture / "cameras.json").unlink()
    os.mkfifo(capture / "cameras.json")
    return capture


@case("a camera missing in the calibration", "error", "lacks camera '1'", quick=True)
def missing_in_calibration(folder: Path) -> Path:
    write_cameras(two_cameras(folder), {"0": camera()})
    return folder / "c"


@case("a camera listed without a video", "warn", "lists 2 without a clip", quick=True)
def listed_without_video(folder: Path) -> Path:
    write_cameras(two_cameras(folder), {"0": camera(), "1": camera(), "2": camera()})
    return folder / "c"


@case("a camera missing in one sequence", "warn", "sequence calm has no clip of camera 1")
def missing_clip(folder: Path) -> Path:
    encode(two_cameras(folder) / "calm/cam_0.mp4")
    return folder / "c"


@case("cameras of different length", "warn", "camera 1 ends 0.20 s before camera 0", quick=True)
def different_length(folder: Path) -> Path:
    encode(two_cameras(folder, 12) / "talk/cam_1.mp4", pictures(6))
    return folder / "c"


@case("cameras of different frame rate", "warn", "frames are missing")
def different_rate(folder: Path) -> Path:
    encode(two_cameras(folder, 12) / "talk/cam_1.mp4", stamps=[0, 2, 4, 6, 8, 10, 12, 14])
    return folder / "c"


@case("one clip of several is empty", "error", "cam_1.mp4 is empty (0 bytes)")
def one_empty(folder: Path) -> Path:
    (two_cameras(folder) / "talk/cam_1.mp4").write_bytes(b"")
    return folder / "c"


def _plate(name: str, content: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        plates = two_cameras(folder) / "plates"
        plates.mkdir()
        (plates / name).write_bytes(content)
        return folder / "c"

    return build


def _png(width: int = 64, height: int = 48) -> bytes:
    return cv2.imencode(".png", pictures(1, width, height)[0])[1].tobytes()


case("a clean plate that fits", "pass")(_plate("cam_0.png", _png()))
case("a plate of the wrong size", "error", "expected 64 x 48", quick=True)(
    _plate("cam_0.png", _png(32, 32))
)
case("a plate of no camera", "error", "no clip of camera '7'")(_plate("cam_7.png", _png()))
case("a plate that is text", "error", "is not an image", quick=True)(_plate("cam_0.png", b"text"))
case("a plate cut at half", "error", "is not an image")(_plate("cam_0.png", _png()[:1500]))


@case("a plate that is a named pipe", "error", "is not a plain file")
def pipe_plate(folder: Path) -> Path:
    plates = two_cameras(folder) / "plates"
    plates.mkdir()
    os.mkfifo(plates / "cam_0.png")
    return folder / "c"


def _images(folder: Path, numbers: list[int], suffix: str = ".png") -> Path:
    home = folder / "c/talk/cam_0"
    home.mkdir(parents=True)
    for number, image in zip(numbers, pictures(len(numbers)), strict=True):
        cv2.imwrite(str(home / f"{number:06d}{suffix}"), image)
    write_cameras(folder / "c", {"0": camera()})
    return folder / "c"


case("numbered images", "pass")(lambda folder: _images(folder, [0, 1, 2, 3]))
case("numbered JPEG images", "pass")(lambda folder: _images(folder, [0, 1, 2, 3], ".jpg"))
case("numbered images with a gap", "warn", "a gap of 17 frames")(
    lambda folder: _images(folder, [0, 1, 2, 19, 20, 21])
)


@case("numbered images, one of them empty", "error", "000002.png is not an image", quick=True)
def empty_image(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    (capture / "talk/cam_0/000002.png").write_bytes(b"")
    return capture


@case("numbered images of two sizes", "error", "a frame is 32 x 32")
def images_of_two_sizes(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    (capture / "talk/cam_0/000002.png").write_bytes(_png(32, 32))
    return capture


@case("two images of one number", "error", "have the same number")
def same_number(folder: Path) -> Path:
    capture = _images(folder, [0, 1, 2, 3])
    (capture / "talk/cam_0/2.png").write_bytes(_png())
    return capture


@case("images without numbers", "error", "holds no numbered images")
def no_numbers(folder: Path) -> Path:
    capture = _images(folder, [0])
    (capture / "talk/cam_0/000000.png").rename(capture / "talk/cam_0/face.png")
    return capture


case("settings that skip the whole clip", "error", "leaves no frame", settings={"start": 9})(
    two_cameras
)


# --- layouts of others ---


def nersemble_folder(folder: Path, names: tuple[str, ...] = ("222200036", "222200037")) -> Path:
    """A participant in NeRSemble's layout, frames a fiftieth of the real size."""
    home = folder / "074"
    for sequence in ("EMO-1-shout+laugh", "EXP-2-eyes"):
        for serial in names:
            encode(home / f"sequences/{sequence}/images/cam_{serial}.mp4", pictures(4, 44, 64))
    background = home / "sequences/BACKGROUND"
    background.mkdir(parents=True)
    for serial in names:
        cv2.imwrite(str(background / f"image_{serial}.jpg"), pictures(1, 44, 64)[0])
    K = [[8200.0, 0, 1100], [0, 8200.0, 1604], [0, 0, 1]]
    params = {"intrinsics": K, "world_2_cam": {serial: np.eye(4).tolist() for serial in names}}
    colours = {serial: (1.1 * np.eye(3)).tolist() for serial in names}
    (home / "calibration").mkdir()
    (home / "calibration/camera_params.json").write_text(json.dumps(params))
    (home / "calibration/color_calibration.json").write_text(json.dumps(colours))
    return home


case("NeRSemble participant", "pass", quick=True)(nersemble_folder)


@case("NeRSemble: a serial without calibration", "error", "lacks camera '222200038'", quick=True)
def nersemble_uncalibrated(folder: Path) -> Path:
    home = nersemble_folder(folder)
    encode(home / "sequences/EXP-2-eyes/images/cam_222200038.mp4", pictures(4, 44, 64))
    return home


@case("NeRSemble: cropped videos", "error", "a whole fraction of it")
def nersemble_cropped(folder: Path) -> Path:
    home = nersemble_folder(folder)
    encode(home / "sequences/EMO-1-shout+laugh/images/cam_222200036.mp4", pictures(4, 64, 64))
    return home


@case("NeRSemble: a colour matrix of 3 x 6", "error", "expected a colour matrix")
def nersemble_colours(folder: Path) -> Path:
    home = nersemble_folder(folder)
    (home / "calibration/color_calibration.json").write_text(
        json.dumps({"222200036": np.zeros((3, 6)).tolist()})
    )
    return home


def transforms_folder(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Two exported sequences and their union, as GaussianAvatars and VHAP lay them out."""
    union = folder / "UNION2_074"
    union.mkdir()
    frames = []
    for shift, sequence in enumerate(("074_EMO-1", "074_EXP-2")):
        (folder / sequence / "images").mkdir(parents=True)
        for timestep in range(4):
            for index in range(2):
                name = f"images/{timestep:05d}_{index:02d}.png"
                cv2.imwrite(str(folder / sequence / name), pictures(1, first=timestep)[0])
                pose = np.eye(4)
                pose[:3, 3] = [0.1 * index + 0.01 * shift, 0, 1]
                frames.append(
                    {
                        "timestep_index": 4 * shift + timestep,
                        "camera_index": index,
                        "file_path": f"../{sequence}/{name}",
                        "transform_matrix": pose.tolist(),
                    }
                    | {"w": 64, "h": 48, "fl_x": 60, "fl_y": 60, "cx": 32, "cy": 24}
                )
    parts: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for frame in frames:
        test = frame["timestep_index"] >= 4
        parts["test" if test else ("val" if frame["camera_index"] else "train")].append(frame)
    frames[-1] |= changes or {}
    for part, listed in parts.items():
        (union / f"transforms_{part}.json").write_text(json.dumps({"frames": listed}))
    return union


def _transforms(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: transforms_folder(folder, changes)


case("GaussianAvatars dataset", "warn", "its own split holds out sequence 074_EXP-2", quick=True)(
    transforms_folder
)
case("GaussianAvatars: an image out of the folder", "error", "leads out of", quick=True)(
    _transforms(file_path="../../../../../../../etc/hostname")
)
case("GaussianAvatars: an absent image", "error", "does not exist")(
    _transforms(file_path="images/none.png")
)
case("GaussianAvatars: a camera that moves", "error", "moves: only cameras at rest")(
    _transforms(transform_matrix=np.diag([1.0, 1, 1, 1]).tolist())
)
case("GaussianAvatars: a singular pose", "error", "is no 4x4 pose")(
    _transforms(transform_matrix=np.zeros((4, 4)).tolist())
)
case("GaussianAvatars: a frame without timestep", "error", "lacks timestep_index")(
    _transforms(timestep_index=None)
)


@case("transforms.json that is no JSON", "error", "not readable as JSON")
def broken_transforms(folder: Path) -> Path:
    union = transforms_folder(folder)
    (union / "transforms_val.json").write_text("{")
    return union
