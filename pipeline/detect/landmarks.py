"""Face landmarks of images and of whole frame stores.

`python -m pipeline.detect.landmarks` is the worker that `detecting` runs, several side by side:
MediaPipe keeps to about one core, and its log noise stays in the worker.

A worker looks for one face, which is fast. Where a sparse look finds several, or the face leaps,
it takes all faces, and `faces.choose` says whose clip it is. A picture in which faces stand on
their heads is turned before: the detector would see a wrong face in it.
"""

import argparse
import contextlib
import itertools
import math
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from pipeline.detect import subject_face
from pipeline.detect.face_mesh import (
    LEFT_EYE,
    LEFT_IRIS,
    NUM_LANDMARKS,
    RIGHT_EYE,
    RIGHT_IRIS,
    FaceFinder,
    FaceMesh,
    quiet_stderr,
)

__all__ = [
    "LEFT_EYE", "LEFT_IRIS", "NUM_LANDMARKS", "RIGHT_EYE", "RIGHT_IRIS", "Detections",
    "SparseLook", "detect_images", "detect_store", "detect_subject", "detecting", "quiet_stderr",
]  # fmt: skip

CHUNK = 256  # frames of one clip per tracker run: fixed, so that workers do not change results
LEAD_IN = 5  # frames run before a chunk that starts inside a clip, for the tracker to settle
MAX_FACES = 4  # looked at where there is more than one
CROWD_STRIDE = 16  # frames between two looks for more than one face
SECONDS_APART = 0.5  # of samples: a subject may have moved about its own size
SAMPLES, SURER = 4, 0.1  # images of a run tried in quarter turns; by what a turn must win


@dataclass(frozen=True)
class Detections:
    """Landmarks of M frames.

    Attributes:
        points: pixels; the image's upper left corner is (0, 0), the first pixel's centre
            (0.5, 0.5). NaN where no face was found.
        found: whether there was a face and it is believed to be the subject's.
    """

    points: Float[np.ndarray, "M 478 2"]
    found: Bool[np.ndarray, "M"]

    @property
    def doubted(self) -> Bool[np.ndarray, "M"]:
        """Where there was a face that is not believed: it keeps its points."""
        return ~self.found & np.isfinite(self.points[:, 0, 0])


def detect_images(
    images: Iterable[UInt8[np.ndarray, "H W 3"]], tracking: bool = False
) -> Detections:
    """Landmarks of RGB images: each on its own, or as one stream in order with `tracking`."""
    with FaceMesh(tracking) as mesh, quiet_stderr():
        found = [mesh.detect(image) for image in images]
    return _one_each(found)


def detect_subject(images: list[UInt8[np.ndarray, "H W 3"]]) -> Detections:
    """Landmarks of the one person whom images of one camera, seconds apart, are about."""
    with FaceMesh(tracking=False, most=MAX_FACES) as mesh, quiet_stderr():
        found = [mesh.detect(image) for image in images]
    return _subject(found, SECONDS_APART * np.arange(len(images)))


class SparseLook:
    """A look at some images of one camera, seconds apart; made, its detectors are loaded."""

    def __init__(self) -> None:
        self._finder, self._mesh = FaceFinder(), FaceMesh(tracking=False)

    def __call__(self, images: Iterable[UInt8[np.ndarray, "H W 3"]]) -> tuple[Detections, int]:
        """Landmarks of the person whom the images are about, and the most faces seen at once."""
        seen, found, crowd = [], [], 0
        for image in images:
            with quiet_stderr():
                crowd = max(crowd, self._finder.count(image))
                found.append(self._mesh.detect(image))
            seen.append(image)
        return detect_subject(seen) if crowd > 1 else _one_each(found), crowd


def _one_each(found: list[Float[np.ndarray, "_ 478 2"]]) -> Detections:
    """The first face of each image."""
    points = np.full((len(found), NUM_LANDMARKS, 2), np.nan, np.float32)
    for row, several in enumerate(found):
        if len(several):
            points[row] = several[0]
    return Detections(points, np.array([len(several) > 0 for several in found], bool))


def _subject(found: list[Float[np.ndarray, "_ 478 2"]], time: Float[np.ndarray, "M"]) -> Detections:
    """Of the faces in each frame of a clip the subject's; where it is none of them, doubted."""
    first = _one_each(found)
    frame = np.repeat(np.arange(len(found)), [len(several) for several in found])
    chosen = subject_face.choose(np.concatenate([*found, first.points[:0]]), frame, time)
    believed = chosen >= 0
    points = first.points.copy()
    points[believed] = np.concatenate([*found, first.points[:0]])[chosen[believed]]
    return Detections(points, believed)


def detect_store(path: str | Path, workers: int = 2) -> Detections:
    """Landmarks of every frame of a frame store: `detecting`, and wait for it."""
    with detecting(path, workers) as detections:
        return detections()


@contextlib.contextmanager
def detecting(path: str | Path, workers: int = 2) -> Iterator[Callable[[], Detections]]:
    """Detect the landmarks of every frame of a frame store beside what the block does.

    Processes side by side; they end with the block. Each camera's clip is a stream of its own:
    the tracker never carries a face from one clip into the next. The result does not depend on
    `workers`.

    Args:
        path: `ingest/frames.h5` or `dataset.h5`.
        workers: processes; MediaPipe takes one core in each.
    Yields:
        What waits for the landmarks. It raises RuntimeError where a worker failed; the message
        is its last line.
    """
    command = [sys.executable, "-m", "pipeline.detect.landmarks", "--frames", str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="landmarks-"))
        outputs = [Path(folder) / f"{worker}.npz" for worker in range(workers)]
        running = [
            stack.enter_context(
                _started(
                    [*command, "--share", f"{worker}/{workers}", "--out", str(output)],
                    environment,
                )
            )
            for worker, output in enumerate(outputs)
        ]

        def detections() -> Detections:
            for process in running:
                _, noise = process.communicate()
                if process.returncode != 0:
                    last = noise.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
                    raise RuntimeError(f"landmark detection failed: {last[0]}")
            return _gather(Path(path), outputs)

        yield detections


@contextlib.contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A worker that does not outlive the block, whatever ends it."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _gather(path: Path, outputs: list[Path]) -> Detections:
    """All workers' faces, and of each clip's the subject's."""
    from avatar.data.reader import FrameStore

    with FrameStore(path) as store:
        camera, sequence = store.camera, store.sequence[store.timestep]
        index, time = store.index[store.timestep], store.time[store.timestep]
    found: list[Float[np.ndarray, "_ 478 2"]] = [np.zeros((0, NUM_LANDMARKS, 2))] * len(camera)
    for output in outputs:
        with np.load(output) as archive:
            several = np.split(archive["points"], np.cumsum(archive["counts"]))[:-1]
            for row, faces_there in zip(archive["rows"], several, strict=True):
                found[row] = faces_there
    points = np.full((len(camera), NUM_LANDMARKS, 2), np.nan, np.float32)
    believed = np.zeros(len(camera), bool)
    for rows in clips(camera, sequence, index):
        subject = _subject([found[row] for row in rows], time[rows])
        points[rows], believed[rows] = subject.points, subject.found
    return Detections(points, believed)


def clips(
    camera: Int[np.ndarray, "M"], sequence: np.ndarray, index: Int[np.ndarray, "M"]
) -> list[list[int]]:
    """The rows of each clip, one (camera, sequence), in order of `index`."""
    found: dict[tuple[int, str], list[int]] = {}
    for row in np.lexsort((index, sequence, camera)):
        found.setdefault((int(camera[row]), str(sequence[row])), []).append(int(row))
    return list(found.values())


def chunks(
    camera: Int[np.ndarray, "M"], sequence: np.ndarray, index: Int[np.ndarray, "M"]
) -> list[tuple[list[int], list[int]]]:
    """Cut frames into tracker runs.

    Args:
        camera, sequence, index: of every row; rows of one (camera, sequence) are one clip and
            run in order of `index`.
    Returns:
        Per run the rows to warm up on (none at a clip's start) and the rows to keep.
    """
    runs = []
    for rows in clips(camera, sequence, index):
        pieces = math.ceil(len(rows) / CHUNK)
        edges = [len(rows) * piece // pieces for piece in range(pieces + 1)]
        for start, stop in itertools.pairwise(edges):
            runs.append((rows[max(0, start - LEAD_IN) : start], rows[start:stop]))
    return runs


def share(sizes: list[int], worker: int, workers: int) -> list[int]:
    """Which runs a worker takes: largest first, each to whoever has least to do."""
    load = [0] * workers
    mine = []
    for run in sorted(range(len(sizes)), key=lambda run: -sizes[run]):
        least = load.index(min(load))
        load[least] += sizes[run]
        if least == worker:
            mine.append(run)
    return sorted(mine)


def _detect_share(
    path: str, worker: int, workers: int
) -> tuple[list[int], list[Float[np.ndarray, "_ 478 2"]]]:
    """The rows of a worker's share, and the faces in each."""
    import cv2

    from avatar.data.reader import FrameStore

    cv2.setNumThreads(1)
    rows: list[int] = []
    found: list[Float[np.ndarray, "_ 478 2"]] = []
    with FrameStore(path) as store:
        finder = FaceFinder()
        runs = chunks(store.camera, store.sequence[store.timestep], store.index[store.timestep])
        for run in share([len(keep) for _, keep in runs], worker, workers):
            lead_in, keep = runs[run]
            time = store.time[store.timestep[keep]]
            found += _detect_run(store.image, lead_in, keep, time, finder)
            rows += keep
    return rows, found


def _detect_run(
    image: Callable[[int], UInt8[np.ndarray, "H W 3"]],
    lead_in: list[int],
    keep: list[int],
    time: Float[np.ndarray, "M"],
    finder: FaceFinder,
) -> list[Float[np.ndarray, "_ 478 2"]]:
    """The faces in each frame of a run: one, or all where there may be another person."""
    quarters = _upright(image, keep[:: max(1, len(keep) // SAMPLES)], finder)
    looks = set(keep[::CROWD_STRIDE])
    counts = []

    def counted(row: int) -> UInt8[np.ndarray, "H W 3"]:
        picture = image(row)
        if row in looks:
            counts.append(finder.count(np.rot90(picture, quarters)))
        return picture

    found = _follow(counted, lead_in, keep, quarters)
    if max(counts) > 1 or subject_face.leaps(_one_each(found).points, time):
        found = _follow(image, lead_in, keep, quarters, MAX_FACES)
    return found


def _follow(
    image: Callable[[int], UInt8[np.ndarray, "H W 3"]],
    lead_in: list[int],
    keep: list[int],
    quarters: int = 0,
    most: int = 1,
) -> list[Float[np.ndarray, "_ 478 2"]]:
    with FaceMesh(most=most) as mesh:
        deque((mesh.detect(np.rot90(image(row), quarters)) for row in lead_in), maxlen=0)
        return [_detect_turned(mesh, image(row), quarters) for row in keep]


def _upright(
    image: Callable[[int], UInt8[np.ndarray, "H W 3"]], samples: list[int], finder: FaceFinder
) -> int:
    """By how many quarters (anticlockwise) the pictures must be turned for faces to stand up."""
    pictures = [image(row) for row in samples]

    def score(quarters: int) -> float:
        return float(np.median([finder.score(np.rot90(picture, quarters)) for picture in pictures]))

    as_it_is = score(0)
    if as_it_is + SURER >= 1:  # no turn can win by that
        return 0
    scores = [as_it_is, *map(score, (1, 2, 3))]
    best = int(np.argmax(scores))
    return best if scores[best] > as_it_is + SURER else 0


def _detect_turned(
    mesh: FaceMesh, image: UInt8[np.ndarray, "H W 3"], quarters: int
) -> Float[np.ndarray, "K 478 2"]:
    height, width = image.shape[:2]
    return turn_back(mesh.detect(np.rot90(image, quarters)), (width, height), quarters)


def turn_back(
    points: Float[np.ndarray, "*B 2"], size: tuple[int, int], quarters: int
) -> Float[np.ndarray, "*B 2"]:
    """Carry pixels of `np.rot90(image, quarters)` to those of the image of `size` (w, h)."""
    x, y = points[..., 0], points[..., 1]
    width, height = size
    turned = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarters]
    return np.stack(turned, -1)


def main(argv: list[str] | None = None) -> int:
    """Detect one worker's share of a frame store and write rows and points to an npz."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--share", required=True, help="worker/workers, from 0")
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    worker, workers = (int(part) for part in args.share.split("/"))
    rows, found = _detect_share(args.frames, worker, workers)
    counts = np.array([len(several) for several in found], np.int64)
    points = np.concatenate([np.zeros((0, NUM_LANDMARKS, 2), np.float32), *found])
    np.savez(args.out, rows=np.array(rows, np.int64), counts=counts, points=points)
    return 0


if __name__ == "__main__":
    sys.exit(main())
