"""Read videos through a `worker` process: what the rest of the pipeline calls."""

import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from avatar.errors import UserError
from pipeline.media import limits
from pipeline.media.info import VideoInfo
from pipeline.media.limits import SLOT_BYTES, SLOTS

log = logging.getLogger(__name__)
Image = UInt8[np.ndarray, "H W 3"]


def probe(path: str | Path) -> VideoInfo:
    """Look into a video: decodes one frame and lists the times of all.

    Raises:
        UserError: no such file, no plain file, empty, no video, a codec that is not read, beyond
            a limit, or not one frame decodes.
    """
    path = Path(path)
    try:
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
    except OSError:  # the worker says what is wrong with it
        stamp = (0, 0)
    return _probe(path, stamp)


@lru_cache(maxsize=4096)
def _probe(path: Path, stamp: tuple[int, int]) -> VideoInfo:
    """`stamp` makes a file that changed another one."""
    for message in _answers({"task": "scan", "path": str(path)}):
        if "info" in message:
            return VideoInfo.from_json(message["info"])
    raise AssertionError("the worker ends with an answer or an error")


def frame_times(path: str | Path) -> Float[np.ndarray, "N"]:
    """Presentation times (s, ascending) of a video's frames; raises as `probe`."""
    return probe(path).times


def read_video(
    path: str | Path,
    wanted: list[float] | None = None,
    remark: Callable[[str], None] = log.warning,
) -> Iterator[tuple[float, Image]]:
    """Frames of a video in order, turned and mirrored as its display matrix says.

    Frames that cannot be decoded are left out; `remark` gets a line with their number.

    Args:
        wanted: times of the frames to convert, as `frame_times` gives them; None: all.
    Yields:
        Presentation time in seconds on the file's own clock, and an RGB image.
    Raises:
        UserError: as `probe`.
    """
    yield from _frames({"task": "frames", "path": str(path), "wanted": wanted}, remark)


def sample_frames(path: str | Path, count: int) -> list[Image]:
    """About `count` frames spread over a video, for a look at it; frames as in `read_video`.

    Their edges of coded blocks are not smoothed: good for finding things, not for storing.

    Raises:
        UserError: as `probe`.
    """
    request = {"task": "samples", "path": str(path), "count": count}
    return [image for _, image in _frames(request, log.warning)]


def _frames(
    request: dict[str, Any], remark: Callable[[str], None]
) -> Iterator[tuple[float, Image]]:
    memory = os.memfd_create("frames", os.MFD_CLOEXEC)
    try:
        os.ftruncate(memory, SLOTS * SLOT_BYTES)
        with mmap(memory, SLOTS * SLOT_BYTES, prot=PROT_READ) as ring:
            for message in _answers(request | {"memory": memory}, memory, remark):
                if "slot" in message:
                    shape = (message["height"], message["width"], 3)
                    pixels = np.frombuffer(
                        ring, np.uint8, shape[0] * shape[1] * 3, message["slot"] * SLOT_BYTES
                    )
                    image = pixels.reshape(shape).copy()
                    del pixels  # the memory cannot be unmapped while something looks at it
                    yield message["time"], image
    finally:
        os.close(memory)


def _answers(
    request: dict[str, Any],
    memory: int | None = None,
    remark: Callable[[str], None] = log.warning,
) -> Iterator[dict[str, Any]]:
    """What a worker says to a request; each frame's slot is given back when the caller goes on."""
    path = request["path"]
    with _started(memory) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        _send(worker.stdin, json.dumps(request).encode() + b"\n")
        for line in _lines(worker.stdout.fileno(), path):
            message = json.loads(line)
            if "error" in message:
                raise UserError(message["error"])
            if message.get("done"):
                return
            if "remark" in message:
                remark(message["remark"])
                continue
            yield message
            if "slot" in message:
                _send(worker.stdin, b".")
        raise UserError(f"{path} {_end(worker)}: convert it again, to H.264 in .mp4")


@contextmanager
def _started(memory: int | None) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that does not outlive the block, whatever ends it."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    worker = subprocess.Popen(
        [sys.executable, "-m", "pipeline.media.worker"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders grumble on their own
        bufsize=0,
        pass_fds=[] if memory is None else [memory],
    )
    try:
        yield worker
    finally:
        if worker.poll() is None:
            worker.kill()
        worker.communicate()


def _send(pipe: Any, data: bytes) -> None:
    try:
        while data:
            data = data[pipe.write(data) :]
    except BrokenPipeError:  # it ended: what it said, or how it ended, tells more
        pass


def _lines(pipe: int, path: str) -> Iterator[bytes]:
    """Lines of a pipe until it closes.

    Raises:
        UserError: nothing came for a long time.
    """
    waiting = b""
    while True:
        if not select.select([pipe], [], [], limits.SILENCE)[0]:
            raise UserError(
                f"{path}: nothing could be read for {limits.SILENCE:.0f} s: "
                "check the disk, or convert the file again"
            )
        data = os.read(pipe, 1 << 16)
        if not data:
            return
        *lines, waiting = (waiting + data).split(b"\n")
        yield from lines


def _end(worker: "subprocess.Popen[bytes]") -> str:
    """How a worker ended that gave no answer."""
    code = worker.wait()
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "took more processor time or memory than a file of its size may"
    if code < 0:
        return f"made the decoder crash ({signal.Signals(-code).name})"
    return f"made the decoder fail (exit code {code})"
