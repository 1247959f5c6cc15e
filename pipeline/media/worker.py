"""The process that reads videos for `read`: everything untrusted happens here.

Standard input brings requests, a line of JSON each, and one full stop for every frame that was
taken; standard output answers in lines of JSON. Pixels go through shared memory: a ring of slots,
each as large as the largest frame allowed (untouched pages cost nothing).

    {"task": "scan", "folder", "path"}               -> {"info": VideoInfo as a dict}
    {"task": "frames", "folder", "path", "wanted", "window"}
                                                     -> {"time", "height", "width", "slot"} ...
    {"task": "samples", "folder", "path", "count"}   -> the same
    always, at the end: {"done": true} or {"error": one line}; in between {"remark": one line}, and
    {"alive": true} while there is nothing else to send

`path` counts from `folder`; `wanted` lists times in seconds, or is null for all frames; `window`
is a Window as a dict, or null for whole frames.

python -m pipeline.media.worker MEMORY     # the number of the memory's file descriptor
"""

import json
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avatar.base.errors import UserError
from pipeline.media import decode, limits
from pipeline.media.info import Window
from pipeline.media.limits import SLOT_BYTES, SLOTS
from pipeline.media.scan import scan


def main() -> None:
    """Answer requests until standard input ends."""
    limits.bind()
    with mmap.mmap(int(sys.argv[1]), SLOTS * SLOT_BYTES) as ring:
        try:
            while line := _read_line():
                _answer(json.loads(line), ring)
        except BrokenPipeError:  # the reader has ended
            os._exit(0)


def _answer(request: dict[str, Any], ring: mmap.mmap) -> None:
    path = Path(request["path"])
    try:
        os.chdir(request["folder"])
        limits.allow(path)
        if request["task"] == "scan":
            _say({"info": scan(path, _alive).to_json()})
        else:
            _show(_frames(request, path), ring)
        _say({"done": True})
    except UserError as problem:
        _say({"error": str(problem)})
    except MemoryError:
        memory = limits.MEMORY_BYTES >> 30
        _say({"error": f"{path} needs more than {memory} GiB to decode: convert it to H.264"})


def _frames(request: dict[str, Any], path: Path) -> Iterator[tuple[float, np.ndarray]]:
    if request["task"] == "samples":
        return decode.samples(path, request["count"])
    part = request["window"]
    window = part and Window(tuple(part["size"]), tuple(part["box"]))
    return decode.frames(
        path, request["wanted"], window, lambda text: _say({"remark": text}), _alive
    )


def _show(frames: Iterator[tuple[float, np.ndarray]], ring: mmap.mmap) -> None:
    for sent, (time, image) in enumerate(frames):
        if sent >= SLOTS and not os.read(0, 1):
            os._exit(0)
        slot = sent % SLOTS
        stored = np.frombuffer(ring, np.uint8, image.size, slot * SLOT_BYTES)
        np.copyto(stored.reshape(image.shape), image)
        height, width = image.shape[:2]
        _say({"time": time, "height": height, "width": width, "slot": slot})


def _read_line() -> bytes:
    """The next line of standard input, and not a byte more; empty at the end.

    Full stops before it are for frames of the request before, whose slots are all free by now.
    """
    pieces = []
    while (piece := os.read(0, 1)) not in (b"\n", b""):
        pieces.append(piece)
    return b"".join(pieces).lstrip(b".")


def _alive() -> None:
    _say({"alive": True})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
