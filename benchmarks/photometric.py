"""Whether photometric refinement lowers the error on frames it has not seen.

    python -m benchmarks.photometric --subject demo
    python -m benchmarks.photometric --subject demo --camera 04

Needs `ingest/` (and, for outlines, `matte/`) of a subject. Withholds every tenth timestep, or all
frames of one camera (`--camera`), from the refinement, and compares the track by landmarks with the
refined one: the mean difference between the brightness of the skin's points and the colours learnt
from the other frames (with the same track), on frames withheld and not; reprojection of landmarks
and jitter.
"""

import os
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as pipeline.track does; before NumPy is loaded

import numpy as np
from jaxtyping import UInt8

from avatar.base.cores import cores
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import HeadRig
from benchmarks import report
from pipeline.detect import processes
from pipeline.track.evidence import observe
from pipeline.track.photometric import refine, samples, skin
from pipeline.track.report import quality
from pipeline.track.settings import TrackSettings
from pipeline.track.solve import joint_fit
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State

EVERY = 10
BLUR = 1.0  # pixels


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--camera", help="withhold this camera, not every tenth timestep")
    args = parser.parse_args()
    home, settings = args.results / args.subject, TrackSettings()
    with FrameStore(home / "ingest" / "frames.h5") as store:
        track = _by_landmarks(home, HeadRig.load(args.rig), store, settings)
        problem, state = track.problem, track.state
        points = skin.skin(track.rig, problem.model.pivot)
        every = samples.frames(store, np.flatnonzero(track.valid))

        def withheld(timestep: int, camera: int) -> bool:
            if args.camera is not None:
                return store.camera_ids[camera] == args.camera
            return timestep % EVERY == EVERY // 2

        def kept(timestep: int, camera: int) -> UInt8[np.ndarray, "H W 3"] | None:
            return None if withheld(timestep, camera) else every(timestep, camera)

        def held_out(timestep: int, camera: int) -> UInt8[np.ndarray, "H W 3"] | None:
            return every(timestep, camera) if withheld(timestep, camera) else None

        start = time.perf_counter()
        refined = refine.refine(problem, state, points, kept)
        seconds = time.perf_counter() - start
        print(f"{len(state.expr)} timesteps in {seconds:.1f} s")
        rows = []
        for name, some in (("landmarks", state), ("landmarks and colours", refined)):
            observed = problem.observations
            seen, unseen = (samples.views(points, observed, some, f) for f in (kept, held_out))
            colors = refine.learn(observed, some, points, seen, BLUR)
            errors = [
                refine.difference(observed, some, points, views, colors, BLUR)
                for views in (unseen, seen)
            ]
            jitter = 1e3 * quality.jitter(quality.shake(problem, some))
            figures = (*errors, _reprojection(problem, some), jitter)
            rows.append([name, *("" if np.isnan(x) else f"{x:.2f}" for x in figures)])
    header = [
        "track by", "error on withheld frames, %", "on the others, %",
        "reprojection, % of the eyes' distance", "jitter, per mille",
    ]  # fmt: skip
    what = "every tenth timestep" if args.camera is None else f"all of camera {args.camera}"
    body = f"Subject {args.subject}, withheld: {what}.\n\n{report.table(header, rows)}"
    name = "photometric_time" if args.camera is None else "photometric_camera"
    report.publish("docs/quality.md", name, body, ["pipeline/track", "avatar/rig"], args.write)


def _by_landmarks(
    home: Path, rig: HeadRig, store: FrameStore, settings: TrackSettings
) -> joint_fit.Fit:
    model = joint_fit.landmark_model(rig)
    given, known = observe.cameras(home / "ingest", store, settings.focal)
    found = processes.detect_store(store.path, cores())
    observed = observe.observations(store, given, found, model.ids)
    track = joint_fit.by_landmarks(rig, model, observed, known, settings.priors)
    matte = home / "matte" / "alpha.h5"
    if not matte.is_file():
        return track
    with AlphaStore(matte) as alphas:
        return joint_fit.by_outlines(track, store, given, alphas, known)


def _reprojection(problem: Problem, state: State) -> float:
    """Per cent of the eyes' distance."""
    problem.reweight(state)
    return float(
        np.nanmean(
            100 * quality.reprojection(problem, state) / quality.eye_distance(problem, state)
        )
    )


if __name__ == "__main__":
    main()
