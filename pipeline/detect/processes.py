"""Landmarks of a whole frame store, found in processes side by side."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from avatar.base.errors import UserError
from pipeline.detect.clips import clips
from pipeline.detect.landmarks import NUM_LANDMARKS, Detections, Faces, of_subject

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]


def detect_store(path: str | Path, workers: int = 2) -> Detections:
    """Landmarks of every frame of a frame store: `detecting`, and wait for it."""
    with detecting(path, workers) as detections:
        return detections()


@contextlib.contextmanager
def detecting(path: str | Path, workers: int = 2) -> Iterator[Callable[[], Detections]]:
    """Detect the landmarks of every frame of a frame store beside what the block does.

    Processes side by side; they end with the block, and with this process however it ends. Each
    camera's clip is a stream of its own: the tracker never carries a face from one clip into the
    next. The result does not depend on `workers`.

    Args:
        path: `ingest/frames.h5` or `dataset.h5`.
        workers: processes; MediaPipe takes one core in each.
    Yields:
        What waits for the landmarks. It raises UserError where the store is absent or damaged or a
        worker was killed twice, and RuntimeError where a worker failed otherwise; the message is
        its last line.
    """
    with contextlib.ExitStack() as stack:
        crew = [
            stack.enter_context(contextlib.closing(Worker(path, f"{worker}/{workers}")))
            for worker in range(workers)
        ]
        yield lambda: _gather(Path(path), [worker.result() for worker in crew])


class Worker:
    """A running `pipeline.detect.worker`.

    Its results and messages go to memory that both processes share: nothing is left of it, however
    they end.
    """

    def __init__(self, path: str | Path, share: str) -> None:
        self._path, self._share = path, share
        self._start()

    def _start(self) -> None:
        self._files = contextlib.ExitStack()
        self._results, self._messages = (
            self._files.enter_context(os.fdopen(os.memfd_create(name), "r+b"))
            for name in ("results", "messages")
        )
        results = self._results.fileno()
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline.detect.worker", "--frames", str(self._path)),
                *("--share", self._share, "--out", f"/dev/fd/{results}"),
                *("--parent", str(os.getpid())),
            ],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(paths)}
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._messages,
            pass_fds=[results],
        )

    def result(self) -> tuple[Int[np.ndarray, "M"], list[Faces]]:
        """The rows of its share and the faces in each; waits for them.

        A process that ended by a signal after its results were whole did its work; before, it is
        started once more.

        Raises:
            UserError: the frame store is absent or damaged, or a signal ended it twice.
            RuntimeError: it failed otherwise.
        """
        first = self._process.wait()
        if first < 0 and self._read() is None:
            log.warning("landmark detection ended by %s: started once more", _signal(first))
            self.close()
            self._start()
        code = self._process.wait()
        done = self._read()
        if done is not None:
            return done
        if code < 0:
            raise UserError(
                f"landmark detection of {self._path} was ended by {_signal(code)} twice, expected "
                "its results: run again; after SIGKILL give the job more memory or set "
                "track.workers to 1"
            )
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {code}"
        if code == UserError.exit_code:
            raise UserError(last)
        raise RuntimeError(f"landmark detection failed: {last}")

    def _read(self) -> tuple[Int[np.ndarray, "M"], list[Faces]] | None:
        """What it wrote, if that is whole."""
        self._results.seek(0)
        try:
            with np.load(self._results) as archive:
                rows, counts, points = (archive[name] for name in ("rows", "counts", "points"))
        except (EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile):
            return None
        return rows, np.split(points, np.cumsum(counts))[:-1]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._files.close()


def _signal(code: int) -> str:
    return signal.Signals(-code).name


def _gather(path: Path, results: list[tuple[Int[np.ndarray, "_"], list[Faces]]]) -> Detections:
    """All workers' faces, and of each clip's the subject's."""
    from avatar.data.reader import FrameStore

    with FrameStore(path) as store:
        camera, sequence = store.camera, store.sequence[store.timestep]
        index, time = store.index[store.timestep], store.time[store.timestep]
    found: list[Float[np.ndarray, "_ 478 2"]] = [np.zeros((0, NUM_LANDMARKS, 2))] * len(camera)
    for mine, faces in results:
        for row, several in zip(mine, faces, strict=True):
            found[row] = several
    points = np.full((len(camera), NUM_LANDMARKS, 2), np.nan, np.float32)
    subjects = np.zeros(len(camera), bool)
    for rows in clips(camera, sequence, index):
        subject = of_subject([found[row] for row in rows], time[rows])
        points[rows], subjects[rows] = subject.points, subject.found
    return Detections(points, subjects)
