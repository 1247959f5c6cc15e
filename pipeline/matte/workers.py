"""Matting in processes side by side: MediaPipe and the kernels keep to one core each."""

import contextlib
import itertools
import logging
import math
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import get_context, parent_process, util
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import cv2
import numpy as np

from avatar.base.errors import UserError
from avatar.data import png
from avatar.data.reader import FrameStore
from pipeline.detect.persons import Persons
from pipeline.matte.backends import Alpha, Choice, start
from pipeline.matte.given import GivenAlpha

log = logging.getLogger(__name__)

PIECE = 128  # frames of a clip in one go: fixed, so that the workers' number changes nothing
LEAD_IN = 8  # frames before a piece that starts inside a clip: the steadying remembers so many


@dataclass(frozen=True)
class Piece:
    """Frames of one clip in order.

    Attributes:
        frames: the frame store.
        lead_in: rows to run before, whose alphas another piece gives.
        rows: rows to give the alphas of.
        choice: the backend.
        given: alphas that the capture brings for `lead_in` and `rows`; empty: the backend's.
        persons: faces in each frame of `lead_in` and `rows`; empty: the clip shows one person.
    """

    frames: Path
    lead_in: list[int]
    rows: list[int]
    choice: Choice
    given: list[GivenAlpha] = field(default_factory=list)
    persons: list[Persons] = field(default_factory=list)


@dataclass(frozen=True)
class Matted:
    """What became of a piece.

    Attributes:
        blobs: encoded alpha of each row.
        coverage: mean alpha of each row, 0..1.
        change: mean absolute change of alpha (0..1) from frame to frame, of the rows that follow
            one.
        removed: of each row, how much of the frame was other persons, 0..1.
    """

    blobs: list[bytes]
    coverage: list[float]
    change: list[float]
    removed: list[float]


def cut(
    path: Path,
    choices: dict[str, Choice],
    given: dict[int, GivenAlpha] | None = None,
    persons: dict[int, Persons] | None = None,
) -> list[Piece]:
    """The pieces of a frame store, in the order of its rows.

    Args:
        path: the frame store.
        choices: backend of each camera.
        given: alphas that the capture brings, by row; a clip has them for all rows or for none.
        persons: faces by row, of clips that show several persons; likewise.
    """
    given, persons = given or {}, persons or {}
    pieces = []
    with FrameStore(path) as store:

        def clip(row: int) -> tuple[str, int]:
            return str(store.sequence[store.timestep[row]]), int(store.camera[row])

        for (_, camera), group in groupby(range(len(store)), clip):
            rows, choice = list(group), choices[store.camera_ids[camera]]
            whole = choice.recurrent or len(rows) <= PIECE
            # An even number, so that of two workers none ends early.
            count = 1 if whole else 2 * math.ceil(len(rows) / (2 * PIECE))
            edges = [len(rows) * piece // count for piece in range(count + 1)]
            for begin, end in itertools.pairwise(edges):
                lead_in = rows[max(0, begin - LEAD_IN) : begin]
                all_rows = rows[begin - len(lead_in) : end]
                brought = [given[row] for row in all_rows if row in given]
                faces = [persons[row] for row in all_rows if row in persons]
                pieces.append(Piece(path, lead_in, rows[begin:end], choice, brought, faces))
    return pieces


def matte_piece(piece: Piece) -> Matted:
    """Alphas of one piece.

    Raises:
        UserError: as `matting.start`, or a damaged frame.
    """
    result = Matted([], [], [], [])
    before: np.ndarray | None = None
    with FrameStore(piece.frames) as store:
        for place, (alpha, removed) in enumerate(_alphas(piece, store)):
            # A quarter of the size is as exact, in a fraction of the time.
            small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            if place >= len(piece.lead_in):
                result.blobs.append(png.encode(alpha))
                result.coverage.append(float(small.mean()) / 255)
                result.removed.append(removed)
                if before is not None:
                    result.change.append(float(cv2.absdiff(small, before).mean()) / 255)
            before = small
    return result


def _alphas(piece: Piece, store: FrameStore) -> Iterator[tuple[Alpha, float]]:
    """Of each frame of a piece, `lead_in` first, and how much of the frame was other persons."""
    if piece.given:
        yield from ((given.read(), 0.0) for given in piece.given)
        return
    # Numba: not for the process that only hands out pieces.
    from pipeline.matte.separate import Separation
    from pipeline.matte.temporal import Steady

    backend, steady = start(piece.choice), Steady()
    separation = Separation() if piece.persons else None
    for place, row in enumerate([*piece.lead_in, *piece.rows]):
        image = store.image(row)
        if separation is None:
            yield steady(image, backend(image)), 0.0
            continue
        share, removed = separation(image, piece.persons[place])
        yield steady(image, backend(image, share)), removed


def matted(pieces: list[Piece], workers: int) -> Iterator[Matted]:
    """All pieces in order, few in flight, so that memory stays bounded.

    Raises:
        UserError: as `matte_piece`, or a process was killed, or crashed twice.
    """
    if workers == 1 or sum(len(piece.rows) for piece in pieces) <= PIECE:
        # A process takes some seconds to start.
        yield from map(matte_piece, pieces)
        return
    crew = dict(_hire() for _ in range(min(workers, len(pieces))))

    def replace(line: Connection) -> Connection | None:
        process = crew.pop(line)
        line.close()
        process.join()
        assert process.exitcode is not None
        if process.exitcode in (0, -signal.SIGKILL):
            return None
        log.warning("a matting process ended with code %d: started once more", process.exitcode)
        line, process = _hire()
        crew[line] = process
        return line

    try:
        yield from _shared(list(crew), pieces, replace)
    finally:
        for line, process in crew.items():
            line.close()
            process.terminate()
            process.join()


def _shared(
    crew: list[Connection],
    pieces: list[Piece],
    replace: Callable[[Connection], Connection | None],
) -> Iterator[Matted]:
    """Hand the pieces to idle workers; their results in order.

    Args:
        replace: gives the line to a new worker for one that crashed; None: it was killed.
    Raises:
        UserError: as `matted`.
    """
    idle, busy, done = list(crew), dict[Connection, int](), dict[int, Matted]()
    to_do, crashed = list(range(len(pieces)))[::-1], set[int]()

    def do_again(piece: int, line: Connection) -> None:
        if piece in crashed:
            raise UserError(
                "a matting process crashed twice on the same frames: run again, or choose another "
                "matte.backend"
            )
        another = replace(line)
        if another is None:
            raise UserError(
                "a matting process was killed, most likely for want of memory: "
                "give the job more memory or fewer threads (snakemake --set-threads matte=1)"
            )
        crashed.add(piece)
        to_do.append(piece)
        idle.append(another)

    for place in range(len(pieces)):
        while place not in done:
            # Nobody runs far ahead of a slow piece: results wait in memory.
            while idle and to_do and to_do[-1] < place + 3 * len(crew):
                line, piece = idle.pop(), to_do.pop()
                try:
                    line.send(pieces[piece])
                    busy[line] = piece
                except OSError:
                    do_again(piece, line)
            answered = wait(list(busy))
            for line in [line for line in busy if line in answered]:
                piece = busy.pop(line)
                try:
                    result = line.recv()
                except (EOFError, OSError):  # before, or in the middle of a message
                    do_again(piece, line)
                    continue
                if isinstance(result, Exception):
                    raise result
                done[piece] = result
                idle.append(line)
        yield done.pop(place)


def _hire() -> tuple[Connection, ForkServerProcess]:
    """The line to a new worker, and the worker.

    A line each, whose other end only the worker holds: if it is killed, at any moment, the line
    ends. In a `ProcessPoolExecutor` all share one: killed while it hands over a result, a worker
    leaves that half written and everybody waiting for the rest.
    """
    # Forked from a fresh interpreter that has loaded what they need, and no more: MediaPipe, which
    # the caller may have used, does not survive a fork. The last two are for the main module, which
    # multiprocessing runs anew in every process.
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["pipeline.matte.preload", "avatar.base.cli", "pipeline.capture.read"]
    )
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, util.get_temp_dir()), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _work(line: Connection, folder: str) -> None:
    """Matte what comes until the stage ends; `folder` is multiprocessing's temporary one."""
    _settle_in(folder)
    with contextlib.suppress(EOFError, OSError):  # the line has ended
        while True:
            line.send(_answer(line.recv()))
    signal.pause()  # the stage terminates this process, or has ended itself: see `_settle_in`


def _answer(piece: Piece) -> Matted | Exception:
    try:
        return matte_piece(piece)
    except Exception as problem:
        problem.add_note(traceback.format_exc())  # it does not travel by itself
        return problem


def _settle_in(folder: str) -> None:
    """Make a worker fast, quiet on Ctrl-C and gone, with the folder, when its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    parent = parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        shutil.rmtree(folder, ignore_errors=True)  # a killed parent has left it
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
