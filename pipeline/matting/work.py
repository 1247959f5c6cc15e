"""Matting in processes side by side: MediaPipe and the kernels keep to one core each."""

import itertools
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
import numpy as np

from avatar.dataset import FrameStore, encode_alpha
from avatar.errors import UserError
from avatar.memory import keep_freed_memory
from pipeline.matting import Choice, start
from pipeline.matting.steady import Steady

PIECE = 100  # frames of a clip in one go: fixed, so that the workers' number changes nothing
LEAD_IN = 8  # frames before a piece that starts inside a clip: the steadying remembers so many


@dataclass(frozen=True)
class Piece:
    """Frames of one clip in order.

    Attributes:
        frames: the frame store.
        lead_in: rows to run before, whose alphas another piece gives.
        rows: rows to give the alphas of.
        choice: the backend.
    """

    frames: Path
    lead_in: list[int]
    rows: list[int]
    choice: Choice


@dataclass(frozen=True)
class Matted:
    """What became of a piece.

    Attributes:
        blobs: encoded alpha of each row.
        coverage: mean alpha of each row, 0..1.
        change: mean absolute change of alpha (0..1) from frame to frame, of the rows that follow
            one.
    """

    blobs: list[bytes]
    coverage: list[float]
    change: list[float]


def cut(path: Path, choices: dict[str, Choice]) -> list[Piece]:
    """The pieces of a frame store, in the order of its rows.

    Args:
        path: the frame store.
        choices: backend of each camera.
    """
    pieces = []
    with FrameStore(path) as store:

        def clip(row: int) -> tuple[str, int]:
            return str(store.sequence[store.timestep[row]]), int(store.camera[row])

        for (_, camera), group in groupby(range(len(store)), clip):
            rows, choice = list(group), choices[store.camera_ids[camera]]
            count = 1 if choice.recurrent else math.ceil(len(rows) / PIECE)
            edges = [len(rows) * piece // count for piece in range(count + 1)]
            for begin, end in itertools.pairwise(edges):
                lead_in = rows[max(0, begin - LEAD_IN) : begin]
                pieces.append(Piece(path, lead_in, rows[begin:end], choice))
    return pieces


def matte_piece(piece: Piece) -> Matted:
    """Alphas of one piece.

    Raises:
        UserError: as `matting.start`, or a damaged frame.
    """
    backend, steady = start(piece.choice), Steady()
    result = Matted([], [], [])
    before: np.ndarray | None = None
    with FrameStore(piece.frames) as store:
        for place, row in enumerate([*piece.lead_in, *piece.rows]):
            image = store.image(row)
            alpha = steady(image, backend(image))
            # A quarter of the size says as much, in a fraction of the time.
            small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            if place >= len(piece.lead_in):
                result.blobs.append(encode_alpha(alpha))
                result.coverage.append(float(small.mean()) / 255)
                if before is not None:
                    result.change.append(float(cv2.absdiff(small, before).mean()) / 255)
            before = small
    return result


def matted(pieces: list[Piece], workers: int) -> Iterator[Matted]:
    """All pieces in order, few in flight, so that memory stays bounded.

    Raises:
        UserError: as `matte_piece`, or a process was killed.
    """
    if workers == 1 or sum(len(piece.rows) for piece in pieces) <= PIECE:
        # A process takes some seconds to start.
        yield from map(matte_piece, pieces)
        return
    # A fresh interpreter: MediaPipe does not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), _settle_in) as pool:
        try:
            flying: deque[Future[Matted]] = deque()
            for piece in pieces:
                flying.append(pool.submit(matte_piece, piece))
                if len(flying) > 2 * workers:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a matting process was killed, most likely for want of memory: "
                "give the job more, or set matte.workers to 1"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _settle_in() -> None:
    """Make a worker fast, quiet on Ctrl-C and gone when its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    keep_freed_memory(1 << 26, 1 << 28)  # fetching images' pages anew costs a fifth of the time
    parent = parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
