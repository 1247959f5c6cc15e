import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.media.ask import ROOT
from pipeline.media.limits import SLOT_BYTES, SLOTS
from tests.hard_cases import encode
from tests.media_files import grey_frames


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen, mmap]]:
    """A worker, and the memory it writes frames into."""
    memory = os.memfd_create("frames")
    os.ftruncate(memory, SLOTS * SLOT_BYTES)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.media.worker", str(memory)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[memory],
    )
    with mmap(memory, SLOTS * SLOT_BYTES) as ring:
        os.close(memory)
        yield process, ring
        process.kill()
        process.wait()


def answers(process: subprocess.Popen, **request: Any) -> Iterator[dict[str, Any]]:
    """What a worker writes, line by line, until it is done."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    while True:
        message = json.loads(process.stdout.readline())
        yield message
        if "done" in message or "error" in message:
            return


def test_requests_are_answered_one_after_another(tmp_path: Path) -> None:
    """More frames than slots: the fifth waits for a full stop; an error ends one request only."""
    encode(tmp_path / "a.mkv", grey_frames([10 * k + 20 for k in range(6)]), codec="ffv1")
    here = {"folder": str(tmp_path), "path": "a.mkv"}
    with running() as (process, ring):
        assert process.stdin is not None
        (info, done) = answers(process, task="scan", **here)
        assert len(info["info"]["times"]) == 6
        assert done == {"done": True}
        (error,) = answers(process, task="scan", folder=str(tmp_path), path="b.mkv")
        assert "b.mkv does not exist" in error["error"]
        shades = []
        for message in answers(process, task="frames", wanted=None, window=None, **here):
            if "slot" in message:
                size = message["height"] * message["width"] * 3
                pixels = np.frombuffer(ring, np.uint8, size, message["slot"] * SLOT_BYTES)
                shades.append(int(np.median(pixels)))
                del pixels
                process.stdin.write(b".")
                process.stdin.flush()
        assert shades == pytest.approx([10 * k + 20 for k in range(6)], abs=2)
        process.stdin.close()
        assert process.wait(10) == 0
