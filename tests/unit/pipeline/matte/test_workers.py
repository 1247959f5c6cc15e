"""A matting process that the kernel kills, as it does for want of memory."""

import json
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from avatar.base.errors import UserError
from avatar.data.reader import AlphaStore
from pipeline.ingest.run import ingest
from pipeline.ingest.settings import IngestSettings
from pipeline.matte import workers
from pipeline.matte.backends import Choice
from pipeline.matte.run import matte
from tests.media_files import real_clip, write_clip


def children(parent: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:  # it ended while we looked
        return []


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


def workers_of(parent: int) -> list[int]:
    """The matting processes of a stage: children of its child that forks them."""
    return [worker for child in children(parent) for worker in children(child)]


@pytest.mark.parametrize("which", [0, 1])
def test_a_killed_matting_process_ends_the_stage_with_one_line(tmp_path: Path, which: int) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 200, width=32, height=32)
    ingest(tmp_path / "a.mp4", tmp_path / "s/ingest")
    command = [sys.executable, "-m", "pipeline.matte", "--subject", "s", "--results", str(tmp_path)]
    stage = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while stage.poll() is None and len(workers_of(stage.pid)) < 2:
            time.sleep(0.01)
        os.kill(workers_of(stage.pid)[which], signal.SIGKILL)
        _, said = stage.communicate(timeout=60)
    finally:
        stage.kill()
    assert stage.returncode == 2
    errors = [line for line in said.splitlines() if "error" in line.lower()]
    assert len(errors) == 1
    assert errors[0].startswith("error: a matting process was killed")
    assert "Traceback" not in said
    record = json.loads((tmp_path / "s/failures/matte.json").read_text())
    assert errors[0] == f"error: {record['error']}"
    assert list((tmp_path / "s/matte").iterdir()) == []


def killed_in_a_message(line: Connection) -> None:
    """Announce a message of a thousand bytes, send ten and be gone."""
    os.write(line.fileno(), struct.pack("!i", 1000) + b"x" * 10)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_half_written_result_does_not_keep_anyone_waiting() -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=killed_in_a_message, args=(theirs,))
    process.start()
    theirs.close()
    piece = workers.Piece(Path("f.h5"), [], [0], Choice("mediapipe"))
    with pytest.raises(UserError, match="a matting process was killed"):
        list(workers._shared([ours], [piece], lambda line: None))
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_problem_in_a_worker_is_the_stages(tmp_path: Path) -> None:
    """What a worker raises comes through as it is, with where it happened."""
    pieces = [workers.Piece(tmp_path / "f.h5", [], list(range(80)), Choice("mediapipe"))] * 2
    with pytest.raises(UserError, match=r"f\.h5 does not exist") as caught:
        list(workers.matted(pieces, 2))
    assert "in matte_piece" in caught.value.__notes__[0]


def test_a_clip_is_cut_in_pieces_that_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 205, width=32, height=32)
    ingest(tmp_path / "a.mp4", tmp_path / "ingest")
    path = tmp_path / "ingest/frames.h5"
    monkeypatch.setattr(workers, "PIECE", 100)
    pieces = workers.cut(path, {"0": Choice("mediapipe")})
    assert [row for piece in pieces for row in piece.rows] == list(range(205))
    assert [len(piece.rows) for piece in pieces] == [51, 51, 51, 52]
    leads = [list(range(end - 8, end)) for end in (51, 102, 153)]
    assert [piece.lead_in for piece in pieces] == [[], *leads]
    (whole,) = workers.cut(path, {"0": Choice("torchscript", model=tmp_path / "m.pt")})
    assert whole.rows == list(range(205))


def test_the_number_of_workers_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    ingest(clip, tmp_path / "ingest", IngestSettings(max_frames=12, size_mono=128))
    monkeypatch.setattr(workers, "PIECE", 4)
    blobs = []
    for number in (1, 2):
        monkeypatch.setenv("OMP_NUM_THREADS", str(number))
        matte(tmp_path / "ingest", tmp_path / "matte")
        with AlphaStore(tmp_path / "matte/alpha.h5") as store:
            blobs.append([store.blob("alpha", row).tobytes() for row in range(len(store))])
    assert len(blobs[0]) == 12
    assert blobs[0] == blobs[1]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder in which the path of a socket stays below the 108 bytes that Unix allows."""
    with tempfile.TemporaryDirectory(prefix="matte") as folder:
        yield Path(folder)


@pytest.mark.fault("L2")
def test_matting_processes_end_with_a_killed_stage(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 200, width=32, height=32)
    ingest(tmp_path / "a.mp4", tmp_path / "s/ingest")
    monkeypatch.setenv("TMPDIR", str(short_folder))
    command = [sys.executable, "-m", "pipeline.matte", "--subject", "s", "--results", str(tmp_path)]
    stage = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    started: list[int] = []
    while stage.poll() is None and len(started) < 2:
        time.sleep(0.01)
        started = workers_of(stage.pid)
    stage.kill()
    stage.wait()
    assert len(started) == 2
    start = time.monotonic()
    while any(running(process) for process in started) and time.monotonic() < start + 10:
        time.sleep(0.01)
    assert time.monotonic() < start + 5
    assert list(short_folder.iterdir()) == []


def running(process: int) -> bool:
    """Whether it runs; an orphan that nobody has asked how it ended does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.fault("H14")
def test_a_crashed_matting_process_costs_a_retry(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [90] * 200, width=32, height=32)
    ingest(tmp_path / "a.mp4", tmp_path / "s/ingest")
    command = [sys.executable, "-m", "pipeline.matte", "--subject", "s", "--results", str(tmp_path)]
    stage = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while stage.poll() is None and len(workers_of(stage.pid)) < 2:
            time.sleep(0.01)
        os.kill(workers_of(stage.pid)[0], signal.SIGABRT)
        _, said = stage.communicate(timeout=60)
    finally:
        stage.kill()
    assert stage.returncode == 0, said
    assert "a matting process ended with code -6: started once more" in said
    with AlphaStore(tmp_path / "s/matte/alpha.h5") as store:
        assert len(store) == 200


@pytest.mark.fault("H14")
def test_a_piece_that_crashes_twice_is_one_line() -> None:
    context = multiprocessing.get_context("fork")

    def crashing(_: Connection | None = None) -> Connection:
        ours, theirs = context.Pipe()
        context.Process(target=killed_in_a_message, args=(theirs,)).start()
        theirs.close()
        return ours

    pieces = [workers.Piece(Path("f.h5"), [], [0], Choice("mediapipe"))]
    with pytest.raises(UserError, match="crashed twice on the same frames"):
        list(workers._shared([crashing()], pieces, crashing))
