"""Ask a `worker` process: it is started, kept for the next question, and ended."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from avatar.base.errors import UserError
from pipeline.media import limits
from pipeline.media.limits import SLOT_BYTES, SLOTS

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A running worker and the memory shared with it."""

    def __init__(self) -> None:
        memory = os.memfd_create("frames")
        try:
            os.ftruncate(memory, SLOTS * SLOT_BYTES)
            self._ring = mmap(memory, SLOTS * SLOT_BYTES, prot=PROT_READ)
            paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.media.worker", str(memory)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders print warnings of their own
                bufsize=0,
                pass_fds=[memory],
            )
        finally:
            os.close(memory)
        self._heard = b""

    def send(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        try:
            while data:
                data = data[self._process.stdin.write(data) :]
        except BrokenPipeError:  # it ended: what it said, or how it ended, tells more
            pass

    def hear(self, path: str) -> dict[str, Any]:
        """Its next message; `path` names the file it reads.

        Raises:
            UserError: it said nothing for a long time, or ended.
        """
        assert self._process.stdout is not None
        while b"\n" not in self._heard:
            if not select.select([self._process.stdout], [], [], limits.SILENCE)[0]:
                raise UserError(
                    f"{path}: nothing could be read for {limits.SILENCE:.0f} s: "
                    "check the disk, or convert the file again"
                )
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise UserError(f"{path} {self._end()}: convert it again, to H.264 in .mp4")
            self._heard += data
        line, self._heard = self._heard.split(b"\n", 1)
        return json.loads(line)

    def image(self, message: dict[str, Any]) -> UInt8[np.ndarray, "H W 3"]:
        """A copy of the frame that a message tells of."""
        shape = (message["height"], message["width"], 3)
        start, size = message["slot"] * SLOT_BYTES, shape[0] * shape[1] * 3
        return np.frombuffer(self._ring, np.uint8, size, start).reshape(shape).copy()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:  # may be closed already: Python closes in any order at its end
                pipe.close()
        self._ring.close()

    def _end(self) -> str:
        """How it ended, giving no answer."""
        code = self._process.wait()
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "took more processor time or memory than a file of its size may"
        if code < 0:
            return f"made the decoder crash ({signal.Signals(-code).name})"
        return f"made the decoder fail (exit code {code})"


# Starting one takes as long as reading some dozens of frames: whoever is done waits here.
_idle: list[Worker] = []


def start() -> None:
    """Begin to start a worker, so that the first question need not wait for it."""
    if not _idle:
        _idle.append(Worker())


def ask(request: dict[str, Any], remark: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """What a worker answers to a request; `image` holds a frame's pixels.

    Args:
        request: see `pipeline.media.worker`.
        remark: gets a line about damage.
    Raises:
        UserError: what the worker says is wrong with the file, or how it failed on it.
    """
    worker = _idle.pop() if _idle else Worker()
    try:
        worker.send(json.dumps(request).encode() + b"\n")
        while not (message := worker.hear(request["path"])).get("done"):
            if "error" in message:
                raise UserError(message["error"])
            if "remark" in message:
                remark(message["remark"])
            elif "slot" in message:
                yield message | {"image": worker.image(message)}
                worker.send(b".")
            elif "info" in message:
                yield message
    except BaseException:  # not done: its next message is not known
        worker.close()
        raise
    _idle.append(worker)


@atexit.register
def close_idle() -> None:
    """End the workers that wait."""
    while _idle:
        _idle.pop().close()
