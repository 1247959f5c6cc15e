"""How fast and how right the tracker is: python -m benchmarks.track --subject demo

    python -m benchmarks.track --subject demo --truth results/demo/truth
    python -m benchmarks.track --subject demo --truth results/demo/truth --camera 03

Needs `ingest/` (and, for outlines, `matte/`) of the subject. Prints frames per second of landmark
detection, of the fit and of both (without what `pipeline.track` takes to start and to draw), peak
memory, and against a truth (the demo's): the distance of the face's vertices after a similarity
alignment per timestep, beside that of the unfitted mean head, the head's rotation after one
constant turn, and of every action that moves the correlation and the slope of the line from the
true values to the tracked.
`--camera` fits one camera alone, its calibration withheld. `--timesteps` plays the capture forwards
and backwards until it is so long, to see how memory grows; without outlines.
"""

import argparse
import os
import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as pipeline.track does; before NumPy is loaded

import numpy as np
import torch
from jaxtyping import Float

from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import HeadRig, RigParams, arkit
from pipeline.detect import landmarks
from pipeline.track.evidence import observe
from pipeline.track.settings import TrackSettings
from pipeline.track.solve import joint_fit, rotations

MOVES = 0.02  # standard deviation from which an action counts as moving


@dataclass(frozen=True)
class Score:
    """Distance from the truth."""

    face_mm: float
    mean_head_mm: float
    rotation_degrees: float
    correlations: dict[str, float]
    slopes: dict[str, float]


def score(rig: HeadRig, params: RigParams, truth: RigParams, verts: np.ndarray) -> Score:
    """Compare a track with the truth.

    Args:
        verts: true vertices [T,V,3] in metres, in the rig's order.
    """
    face = rig.masks["face"].numpy()
    true = verts[:, face].astype(np.float64)
    with torch.no_grad():
        got = rig(**params.poses(torch.arange(len(params))))[:, face].double().numpy()
    mean_head = np.broadcast_to(rig.v_template[face].double().numpy(), true.shape)
    off = head_turn(params).swapaxes(1, 2) @ head_turn(truth)
    left, _, right = np.linalg.svd(off.mean(0))
    turn = rotations.log((left @ right).T @ off)
    ours, theirs = (
        arkit.to_arkit(p.expr, p.jaw_pose, p.eyes_pose).numpy() for p in (params, truth)
    )
    moving = np.flatnonzero(theirs.std(0) > MOVES)
    correlations = {
        arkit.ARKIT_NAMES[i]: float(np.nan_to_num(np.corrcoef(ours[:, i], theirs[:, i])[0, 1]))
        for i in moving
        if ours[:, i].std() > 0
    } | {arkit.ARKIT_NAMES[i]: 0.0 for i in moving if ours[:, i].std() == 0}
    slopes = {
        arkit.ARKIT_NAMES[i]: float(np.polyfit(theirs[:, i], ours[:, i], 1)[0]) for i in moving
    }
    return Score(
        1e3 * float(np.linalg.norm(aligned(got, true) - true, axis=-1).mean()),
        1e3 * float(np.linalg.norm(aligned(mean_head, true) - true, axis=-1).mean()),
        float(np.degrees(np.linalg.norm(turn, axis=1)).mean()),
        correlations,
        slopes,
    )


def correlation(ours: Float[np.ndarray, "T"], theirs: Float[np.ndarray, "T"]) -> float:
    """Pearson's; 0 for a coefficient that the tracker never moved."""
    return float(np.corrcoef(ours, theirs)[0, 1]) if ours.std() > 0 else 0.0


def aligned(
    points: Float[np.ndarray, "T N 3"], target: Float[np.ndarray, "T N 3"]
) -> Float[np.ndarray, "T N 3"]:
    """Points moved by the similarity of each timestep that brings them nearest (Umeyama 1991)."""
    centre, goal = points.mean(1, keepdims=True), target.mean(1, keepdims=True)
    x, y = points - centre, target - goal
    left, sizes, right = np.linalg.svd(y.swapaxes(1, 2) @ x)
    sign = np.ones((len(x), 3))
    sign[:, 2] = np.sign(np.linalg.det(left @ right))
    turn = left * sign[:, None] @ right
    scale = (sizes * sign).sum(1) / (x**2).sum((1, 2))
    return scale[:, None, None] * (x @ turn.swapaxes(1, 2)) + goal


def head_turn(params: RigParams) -> Float[np.ndarray, "T 3 3"]:
    root, neck = (
        rotations.exp(getattr(params, name).double().numpy()) for name in ("rotation", "neck_pose")
    )
    return root @ neck


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

    def image(self, row: int) -> np.ndarray:
        return super().image(self.source[row])

    def repeated(self, found: landmarks.Detections) -> landmarks.Detections:
        """Detections of the frames as they are played."""
        return landmarks.Detections(found.points[self.source], found.found[self.source])


def _one_camera(
    given: Cameras, found: landmarks.Detections, store: FrameStore, camera: str, focal: float
) -> tuple[Cameras, landmarks.Detections]:
    """What one camera sees, with a guessed focal length; the others' detections are withheld."""
    number = given.ids.index(camera)
    Ks = given.Ks.copy()
    Ks[number, [0, 1], [0, 1]] = focal * given.sizes[number].max()
    alone = found.found & (store.camera == number)
    return replace(given, Ks=Ks), landmarks.Detections(found.points, alone)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subject", default="demo")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rig", type=Path, default=Path("results/rigs/anny.npz"))
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--camera", help="fit this camera alone, uncalibrated")
    parser.add_argument("--landmarks-only", action="store_true", help="no photometric refinement")
    parser.add_argument("--timesteps", type=int, help="repeat the capture until it is so long")
    args = parser.parse_args()
    home, settings = args.results / args.subject, TrackSettings()
    rig = HeadRig.load(args.rig)
    model = joint_fit.landmark_model(rig)
    frames = home / "ingest" / "frames.h5"
    with LongStore(frames, args.timesteps) if args.timesteps else FrameStore(frames) as store:
        given, known = observe.cameras(home / "ingest", store, settings.focal)
        start = time.perf_counter()
        found = landmarks.detect_store(store.path, settings.workers)
        detection = time.perf_counter() - start
        detected = len(found.found)
        if isinstance(store, LongStore):
            found = store.repeated(found)
        if args.camera is not None:
            given, found = _one_camera(given, found, store, args.camera, settings.focal)
            known = False
        observed = observe.observations(store, given, found, model.ids)
        start = time.perf_counter()
        track = joint_fit.by_landmarks(rig, model, observed, known, settings.priors)
        fitting = time.perf_counter() - start
        matte, outlining = home / "matte" / "alpha.h5", 0.0
        outlined = matte.is_file() and args.camera is None and not args.timesteps
        if outlined:
            with AlphaStore(matte) as alphas:
                start = time.perf_counter()
                track = joint_fit.by_outlines(track, store, given, alphas, known)
                outlining = time.perf_counter() - start
        start = time.perf_counter()
        if not args.landmarks_only:
            track = joint_fit.by_colours(track, store)
        colouring = time.perf_counter() - start
        if outlined:
            with AlphaStore(matte) as alphas:
                start = time.perf_counter()
                track, overlaps = joint_fit.with_offsets(track, store, given, alphas)
                outlining += time.perf_counter() - start
            print("overlaps", {name: round(value, 3) for name, value in overlaps.items()})
        params = track.params(store)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{len(store)} frames, {len(params)} timesteps, {len(store.camera_ids)} cameras")
        print(f"detection  {detected / detection:7.1f} frames/s  {detection:6.1f} s")
        print(f"fit        {len(params) / fitting:7.1f} timesteps/s  {fitting:3.1f} s")
        print(
            f"colours    {len(params) / max(colouring, 1e-9):7.1f} timesteps/s  {colouring:3.1f} s"
        )
        print(f"outlines   {outlining:24.1f} s")
        everything = detection * len(store) / detected + fitting + colouring + outlining
        print(f"all        {len(params) / everything:7.1f} timesteps/s  {everything:3.1f} s")
        print(f"memory     {memory:7.2f} GiB at most")
    if args.truth is not None:
        truth = RigParams.load(args.truth / "params.npz")
        got = score(rig, params, truth, np.load(args.truth / "verts.npy"))
        less = 1 - got.face_mm / got.mean_head_mm
        print(f"face       {got.face_mm:.2f} mm, mean head {got.mean_head_mm:.2f} mm ({-less:.0%})")
        print(f"rotation   {got.rotation_degrees:.2f} degrees")
        correlations, slopes = got.correlations, got.slopes
        print(f"actions    {np.mean(list(correlations.values())):.2f} mean correlation")
        print(f"           {np.mean(list(slopes.values())):.2f} mean slope")
        for name, value in sorted(correlations.items(), key=lambda item: -item[1]):
            print(f"  {name:22s} {value:5.2f} {slopes[name]:5.2f}")


if __name__ == "__main__":
    main()
