"""Files that are no video."""

import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.hard_cases.case import NO_FACE, case
from tests.hard_cases.clips import encode, pictures


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
