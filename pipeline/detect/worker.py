"""The process that finds the landmarks of a share of a frame store's clips.

`pipeline.detect.processes` runs several side by side: MediaPipe keeps to about one core, and its
log noise stays here.

python -m pipeline.detect.worker --frames frames.h5 --share 0/2 --parent PID --out FILE
"""

import argparse
import os
import sys

import numpy as np

from avatar.base.errors import UserError
from pipeline.common.parent import end_with
from pipeline.detect.face_mesh import NUM_LANDMARKS, FaceFinder
from pipeline.detect.landmarks import Faces


def detect_share(path: str, worker: int, workers: int) -> tuple[list[int], list[Faces]]:
    """The rows of a worker's share, and the faces in each.

    Raises:
        UserError: the frame store is absent or damaged.
    """
    import cv2

    from avatar.data.reader import FrameStore
    from pipeline.detect import clips

    cv2.setNumThreads(1)
    rows: list[int] = []
    found: list[Faces] = []
    with FrameStore(path) as store:
        finder = FaceFinder()
        runs = clips.runs(store.camera, store.sequence[store.timestep], store.index[store.timestep])
        for run in clips.share([len(keep) for _, keep in runs], worker, workers):
            lead_in, keep = runs[run]
            time = store.time[store.timestep[keep]]
            found += clips.detect_run(store.image, lead_in, keep, time, finder)
            rows += keep
        finder.close()
    return rows, found


def main(argv: list[str] | None = None) -> int:
    """Detect one worker's share of a frame store and write rows and points to an npz."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--share", required=True, help="worker/workers, from 0")
    parser.add_argument("--out", required=True)
    parser.add_argument("--parent", type=int, help="process with which this one ends")
    args = parser.parse_args(argv)
    if args.parent is not None:
        end_with(args.parent)
    worker, workers = (int(part) for part in args.share.split("/"))
    try:
        rows, found = detect_share(args.frames, worker, workers)
    except UserError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    counts = np.array([len(several) for several in found], np.int64)
    points = np.concatenate([np.zeros((0, NUM_LANDMARKS, 2), np.float32), *found])
    with open(args.out, "wb") as file:
        np.savez(file, rows=np.array(rows, np.int64), counts=counts, points=points)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # the results are written: no native library's teardown may spoil them
