"""The process that reads one video for `read`: everything untrusted happens here.

Standard input brings one line of JSON, the request, then one byte for every frame that was
taken; standard output answers in lines of JSON. Pixels go through shared memory: a ring of slots,
each as large as the largest frame allowed (untouched pages cost nothing).

    {"task": "scan", "path"}                         -> {"info": VideoInfo as a dict}
    {"task": "frames", "path", "wanted", "memory"}   -> {"time", "height", "width", "slot"} ...
    {"task": "samples", "path", "count", "memory"}   -> the same
    always, at the end: {"done": true} or {"error": one line}; in between {"remark": one line}, and
    {"alive": true} where there is long nothing else to say

`wanted` lists times in seconds, or is null for all frames.
"""

import json
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import UserError
from pipeline.media import decode, limits
from pipeline.media.limits import SLOT_BYTES, SLOTS


def main() -> None:
    """Answer the one request on standard input."""
    request = json.loads(_read_line())
    path = Path(request["path"])
    limits.apply(path)
    try:
        _answer(request, path)
        _say({"done": True})
    except UserError as problem:
        _say({"error": str(problem)})
    except MemoryError:
        memory = limits.MEMORY_BYTES >> 30
        _say({"error": f"{path} needs more than {memory} GiB to decode: convert it to H.264"})
    except BrokenPipeError:  # nobody reads any more
        os._exit(0)


def _answer(request: dict[str, Any], path: Path) -> None:
    def remark(text: str) -> None:
        _say({"remark": text})

    def alive() -> None:
        _say({"alive": True})

    if request["task"] == "scan":
        _say({"info": decode.scan(path, alive).to_json()})
        return
    if request["task"] == "samples":
        frames = decode.samples(path, request["count"])
    else:
        frames = decode.frames(path, request["wanted"], remark, alive)
    with mmap.mmap(request["memory"], SLOTS * SLOT_BYTES) as ring:
        for sent, (time, image) in enumerate(frames):
            if sent >= SLOTS and not os.read(0, 1):
                os._exit(0)
            slot = sent % SLOTS
            stored = np.frombuffer(ring, np.uint8, image.size, slot * SLOT_BYTES)
            np.copyto(stored.reshape(image.shape), image)
            height, width = image.shape[:2]
            _say({"time": time, "height": height, "width": width, "slot": slot})
            del stored


def _read_line() -> bytes:
    """The first line of standard input, and not a byte more."""
    pieces = []
    while (piece := os.read(0, 1)) not in (b"\n", b""):
        pieces.append(piece)
    return b"".join(pieces)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
