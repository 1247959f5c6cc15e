"""Memory of the tracker on long captures: python -m benchmarks.track_memory --timesteps 1000 10000

Plays the frames of a subject (`ingest/`) forwards and backwards until the capture is so long, and
tracks it by landmarks and colours, each length in a process of its own. The frames that exist are
detected once and their landmarks repeated, so that detection is not part of the figure.
"""

import os
import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as pipeline.track does; before NumPy is loaded

import numpy as np

from avatar.data.dataset import FrameStore
from avatar.rig import HeadRig
from benchmarks import report
from benchmarks.track import SOURCES, Run
from pipeline.detect.landmarks import Detections


class LongStore(FrameStore):
    """A store played forwards and backwards until it has so many timesteps."""

    def __init__(self, path: Path, timesteps: int) -> None:
        super().__init__(path)
        super().image(0)  # finds the blobs by the tables that are still the file's
        once = len(self.time)
        there = np.arange(timesteps) % (2 * once)
        self.source = self._rows[np.minimum(there, 2 * once - 1 - there)]
        self.timestep, self.camera = np.nonzero(self.source >= 0)
        self.source = self.source[self.timestep, self.camera]
        self._rows = np.full((timesteps, len(self.camera_ids)), -1)
        self._rows[self.timestep, self.camera] = np.arange(len(self.source))
        self.time = np.arange(timesteps) * np.median(np.diff(self.time))
        self.sequence, self.index = np.full(timesteps, self.sequence[0]), np.arange(timesteps)

    def image(self, row: int | np.integer) -> np.ndarray:
        return super().image(self.source[row])

    def repeated(self, found: Detections) -> Detections:
        """Detections of the frames as they are played."""
        return Detections(found.points[self.source], found.found[self.source])


def peak(home: Path, rig: Path, timesteps: int) -> float:
    """Track a capture of so many timesteps; the process's peak memory in GiB."""
    with LongStore(home / "ingest" / "frames.h5", timesteps) as store:
        run = Run(home, HeadRig.load(rig), store)
        run.found = store.repeated(run.found)
        run.fit(outlines=False)  # alphas are not repeated
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[500, 2000])
    args = parser.parse_args()
    rows = []
    for count in args.timesteps:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found = pool.submit(peak, args.results / args.subject, args.rig, count).result()
        rows.append([count, f"{found:.2f}"])
    body = report.table(["timesteps", "peak memory, GiB"], rows)
    body = f"Subject {args.subject}, all cameras.\n\n{body}"
    report.publish("docs/performance.md", "track_memory", body, SOURCES, args.write)


if __name__ == "__main__":
    main()
