"""Face landmarks from images: the one place that knows MediaPipe.

MediaPipe's face mesh gives 478 points: 468 on the face and five on either iris (468-472 the
subject's right, 473-477 the left; the first of each five is the centre). It is imported only
when a detector is made. `python -m pipeline.landmarks` is the worker that `detect_store` runs,
several side by side: MediaPipe keeps to about one core, and its log noise stays in the worker.
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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

NUM_LANDMARKS = 478
RIGHT_IRIS, LEFT_IRIS = 468, 473
RIGHT_EYE, LEFT_EYE = 33, 263  # outer corners, the subject's right and left
CHUNK = 256  # frames of one clip per tracker run: fixed, so that workers do not change results
LEAD_IN = 5  # frames run before a chunk that starts inside a clip, for the tracker to settle


@dataclass(frozen=True)
class Detections:
    """Landmarks of M frames.

    Attributes:
        points: pixels; the image's upper left corner is (0, 0), the first pixel's centre
            (0.5, 0.5). NaN where no face was found.
        found: whether there was a face.
    """

    points: Float[np.ndarray, "M 478 2"]
    found: Bool[np.ndarray, "M"]


class FaceMesh:
    """MediaPipe's face mesh on one stream of images.

    Args:
        tracking: search near the previous image's face (video of one camera, in order; less
            jitter, faster) or treat every image on its own.
    """

    def __init__(self, tracking: bool = True) -> None:
        # Both must be set before the first import: they are read when the libraries load.
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with quiet_stderr():
            from mediapipe.python.solutions.face_mesh import FaceMesh as MediaPipeFaceMesh

            self._mesh = MediaPipeFaceMesh(
                static_image_mode=not tracking,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=0.5,
                min_tracking_confidence=0.5,
            )

    def detect(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "478 2"] | None:
        """The landmarks of one RGB image in pixels, or None where no face is found."""
        result = self._mesh.process(np.ascontiguousarray(image))
        if not result.multi_face_landmarks:
            return None
        height, width = image.shape[:2]
        face = result.multi_face_landmarks[0].landmark
        return np.array([(point.x * width, point.y * height) for point in face], np.float32)

    def close(self) -> None:
        """Free the graph."""
        self._mesh.close()

    def __enter__(self) -> "FaceMesh":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def detect_images(
    images: Iterable[UInt8[np.ndarray, "H W 3"]], tracking: bool = False
) -> Detections:
    """Landmarks of RGB images: each on its own, or as one stream in order with `tracking`."""
    with FaceMesh(tracking) as mesh, quiet_stderr():
        found = [mesh.detect(image) for image in images]
    return _stack(found)


def count_faces(images: Iterable[UInt8[np.ndarray, "H W 3"]]) -> list[int]:
    """How many faces each RGB image shows, however many persons there are."""
    with quiet_stderr():
        from mediapipe.python.solutions.face_detection import FaceDetection

        with FaceDetection(model_selection=1, min_detection_confidence=0.6) as detection:
            results = [detection.process(np.ascontiguousarray(image)) for image in images]
    return [len(result.detections or []) for result in results]


def _stack(faces: list[Float[np.ndarray, "478 2"] | None]) -> Detections:
    points = np.full((len(faces), NUM_LANDMARKS, 2), np.nan, np.float32)
    for row, face in enumerate(faces):
        if face is not None:
            points[row] = face
    return Detections(points, np.array([face is not None for face in faces], bool))


def detect_store(path: str | Path, workers: int = 2) -> Detections:
    """Landmarks of every frame of a frame store, in processes side by side.

    Each camera's clip is a stream of its own: the tracker never carries a face from one clip
    into the next. The result does not depend on `workers`.

    Args:
        path: `ingest/frames.h5` or `dataset.h5`.
        workers: processes; MediaPipe takes one core in each.
    Raises:
        RuntimeError: a worker failed; the message is its last line.
    """
    with tempfile.TemporaryDirectory(prefix="landmarks-") as folder:
        outputs = [Path(folder) / f"{worker}.npz" for worker in range(workers)]
        command = [sys.executable, "-m", "pipeline.landmarks", "--frames", str(path)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with contextlib.ExitStack() as stack:
            running = [
                stack.enter_context(
                    _started(
                        [*command, "--share", f"{worker}/{workers}", "--out", str(output)],
                        environment,
                    )
                )
                for worker, output in enumerate(outputs)
            ]
            for process in running:
                _, noise = process.communicate()
                if process.returncode != 0:
                    last = noise.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
                    raise RuntimeError(f"landmark detection failed: {last[0]}")
        return _gather(outputs)


@contextlib.contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A worker that does not outlive the block, whatever ends it."""
    root = str(Path(__file__).resolve().parents[1])
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


def _gather(outputs: list[Path]) -> Detections:
    rows, points = [], []
    for output in outputs:
        with np.load(output) as archive:
            rows.append(archive["rows"])
            points.append(archive["points"])
    order = np.argsort(np.concatenate(rows))
    all_points = np.concatenate(points)[order]
    return Detections(all_points, ~np.isnan(all_points).any((1, 2)))


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
    clips: dict[tuple[int, str], list[int]] = {}
    for row in np.lexsort((index, sequence, camera)):
        clips.setdefault((int(camera[row]), str(sequence[row])), []).append(int(row))
    runs = []
    for rows in clips.values():
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


def _detect_share(path: str, worker: int, workers: int) -> tuple[list[int], Detections]:
    import cv2

    from avatar.dataset import FrameStore

    cv2.setNumThreads(1)
    rows: list[int] = []
    faces: list[Float[np.ndarray, "478 2"] | None] = []
    with FrameStore(path) as store:
        runs = chunks(store.camera, store.sequence[store.timestep], store.index[store.timestep])
        for run in share([len(keep) for _, keep in runs], worker, workers):
            lead_in, keep = runs[run]
            with FaceMesh() as mesh:
                deque((mesh.detect(store.image(row)) for row in lead_in), maxlen=0)
                faces += [mesh.detect(store.image(row)) for row in keep]
            rows += keep
    return rows, _stack(faces)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what native libraries print to stderr nowhere, for the block."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def main(argv: list[str] | None = None) -> int:
    """Detect one worker's share of a frame store and write rows and points to an npz."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--share", required=True, help="worker/workers, from 0")
    parser.add_argument("--out", required=True)
    args = parser.parse_args(argv)
    worker, workers = (int(part) for part in args.share.split("/"))
    rows, detections = _detect_share(args.frames, worker, workers)
    np.savez(args.out, rows=np.array(rows, np.int64), points=detections.points)
    return 0


if __name__ == "__main__":
    sys.exit(main())
