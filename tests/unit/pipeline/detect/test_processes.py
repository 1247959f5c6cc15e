"""Worker processes: what they give, and what happens when one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.detect import landmarks, processes
from tests.unit.pipeline.track.capture import write_store

SIZE = 256
BLANK = np.full((SIZE, SIZE, 3), 90, np.uint8)


def test_a_store_gives_the_same_with_one_worker_and_with_two(
    face: np.ndarray, tmp_path: Path
) -> None:
    dark = (face * 0.7).astype(np.uint8)
    write_store(tmp_path / "frames.h5", [face, BLANK, face, dark, dark, BLANK], 2, 3)
    one = processes.detect_store(tmp_path / "frames.h5", workers=1)
    two = processes.detect_store(tmp_path / "frames.h5", workers=2)
    assert one.found.tolist() == [True, False, True, True, True, False]
    assert one.found.tolist() == two.found.tolist()
    assert np.array_equal(one.points, two.points, equal_nan=True)


def test_a_workers_failure_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^\S+absent\.h5 does not exist"):
        processes.detect_store(tmp_path / "absent.h5")


def _children() -> set[str]:
    """Processes that this one has started and that have not been waited for."""
    mine = f"PPid:\t{os.getpid()}\n"
    return {
        status.parent.name
        for status in Path("/proc").glob("[0-9]*/status")
        if mine in _content(status)
    }


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def test_workers_end_with_the_block(tmp_path: Path) -> None:
    write_store(tmp_path / "frames.h5", [BLANK] * 4, 1, 4)
    before = _children()

    def find_a_mistake_meanwhile() -> None:
        with processes.detecting(tmp_path / "frames.h5", workers=2):
            assert len(_children() - before) == 2
            raise UserError("a mistake")

    with pytest.raises(UserError, match="a mistake"):
        find_a_mistake_meanwhile()
    assert _children() == before


def test_of_two_persons_one_is_followed(face: np.ndarray, tmp_path: Path) -> None:
    small = BLANK.copy()
    small[50:210, 48:208] = cv2.resize(face, (160, 160), interpolation=cv2.INTER_AREA)
    both = [np.concatenate([small, face], 1), np.concatenate([small, BLANK], 1)]
    # The larger one is hidden in two frames: nobody else takes its place.
    frames = [both[k in (4, 5)] for k in range(9)]
    write_store(tmp_path / "frames.h5", frames, 1, 9)
    found = processes.detect_store(tmp_path / "frames.h5", workers=1)
    assert found.found.tolist() == [k not in (4, 5) for k in range(9)]
    assert (found.points[found.found].mean(1)[:, 0] > SIZE).all()
    assert found.outliers.tolist() == [k in (4, 5) for k in range(9)]
    subject, boxes = landmarks.SampleDetector()(frames)
    assert [len(places) for places in boxes] == [1 if k in (4, 5) else 2 for k in range(9)]
    assert (subject.points[subject.found].mean(1)[:, 0] > SIZE).all()


def test_an_upside_down_camera_is_seen_through(face: np.ndarray, tmp_path: Path) -> None:
    upright = landmarks.detect_images([face]).points[0]
    write_store(tmp_path / "frames.h5", [np.rot90(face, 2)] * 4, 1, 4)
    found = processes.detect_store(tmp_path / "frames.h5", workers=1)
    assert found.found.all()
    assert np.abs(SIZE - found.points[3] - upright).max() < 3


# Python runs this file of a folder on PYTHONPATH before anything else.
CRASHES = """
import os, pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if "pipeline.detect.worker" in sys.orig_argv:
    {crash}
"""
AT_TEARDOWN = "os._exit = lambda code: os.abort()"
ONCE = """
    file = pathlib.Path(__file__).with_name("once")
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), {signal})
"""


def _crashing(folder: Path, crash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CRASHES.format(crash=crash))
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.fault("H14")
def test_results_written_before_a_crash_are_used(
    face: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    write_store(tmp_path / "frames.h5", [face] * 2, 1, 2)
    _crashing(tmp_path / "crash", AT_TEARDOWN, monkeypatch)
    assert processes.detect_store(tmp_path / "frames.h5", workers=1).found.all()
    assert not caplog.messages


@pytest.mark.fault("H14")
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_costs_a_retry(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    write_store(tmp_path / "frames.h5", [BLANK] * 2, 1, 2)
    _crashing(tmp_path / "crash", ONCE.format(signal=int(number)), monkeypatch)
    assert processes.detect_store(tmp_path / "frames.h5", workers=1).found.tolist() == [False] * 2
    assert caplog.messages == [f"landmark detection ended by {number.name}: started once more"]


@pytest.mark.fault("H14")
def test_a_second_crash_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _crashing(tmp_path / "crash", "os.abort()", monkeypatch)
    with pytest.raises(UserError, match=r"f\.h5 was ended by SIGABRT twice") as caught:
        processes.detect_store(tmp_path / "f.h5", workers=1)
    assert "\n" not in str(caught.value)


WAITS = """
import sys, time
from pipeline.detect import processes
with processes.detecting(sys.argv[1], workers=2):
    print("started", flush=True)
    time.sleep(60)
"""


@pytest.mark.fault("L2")
def test_workers_end_with_a_killed_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    write_store(tmp_path / "frames.h5", [BLANK] * 1200, 1, 1200)
    command = [sys.executable, "-c", WAITS, str(tmp_path / "frames.h5")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) == 2
    time.sleep(1)  # some are at work
    parent.kill()
    parent.wait()
    parent.stdout.close()
    start = time.monotonic()
    while any(_alive(child) for child in children) and time.monotonic() < start + 10:
        time.sleep(0.01)
    assert time.monotonic() < start + 2
    assert [path.name for path in tmp_path.iterdir()] == ["frames.h5"]


def _alive(process: str) -> bool:
    """Whether it runs: who adopts orphans may not yet have asked how it ended."""
    status = _content(Path(f"/proc/{process}/status"))
    return bool(status) and "State:\tZ" not in status
