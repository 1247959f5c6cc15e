"""Accuracy and speed of the tracker: python -m benchmarks.track --subject demo

    python -m benchmarks.track --subject demo --truth results/demo/truth

Needs `ingest/` (and, for outlines, `matte/`) of the subject. Measures the time of detection, of the
fit and of its parts (without the start-up and the overlay of `pipeline.track`). With a truth (the
demo's) it fits all cameras and then one alone, its calibration withheld, each by landmarks and by
landmarks and colours, and compares: the distance of the face's vertices after a similarity
alignment per timestep, beside that of the unfitted mean head; the head's rotation after one
constant rotation; and of every action that moves the correlation and the slope of the line from
the true values to the tracked ones.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as pipeline.track does; before NumPy is loaded

import numpy as np
import torch
from jaxtyping import Float

from avatar.base.cores import cores
from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import HeadRig, RigParams, arkit
from benchmarks import report
from pipeline.detect import processes
from pipeline.detect.landmarks import Detections
from pipeline.track.evidence import observe
from pipeline.track.settings import TrackSettings
from pipeline.track.solve import joint_fit, rotations

SOURCES = ["pipeline/track", "pipeline/detect", "avatar/rig"]
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


class Run:
    """One subject tracked in memory, with the seconds of each part.

    Attributes:
        store: the subject's frames; the caller closes it.
        seconds: by part: detection, landmarks, outlines, colours.
    """

    def __init__(self, home: Path, rig: HeadRig, store: FrameStore) -> None:
        self.home, self.rig, self.store = home, rig, store
        self.settings = TrackSettings()
        self.seconds: dict[str, float] = {}
        with self.timed("detection"):
            self.found = processes.detect_store(store.path, cores())

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def fit(
        self, colours: bool = True, outlines: bool = True, camera: str | None = None
    ) -> RigParams:
        """Fit all cameras, or one alone without its calibration (and without outlines)."""
        given, known = observe.cameras(self.home / "ingest", self.store, self.settings.focal)
        found = self.found
        if camera is not None:
            given, found = _one_camera(given, found, self.store, camera, self.settings.focal)
            known = False
        model = joint_fit.landmark_model(self.rig)
        observed = observe.observations(self.store, given, found, model.ids)
        with self.timed("landmarks"):
            track = joint_fit.by_landmarks(self.rig, model, observed, known, self.settings.priors)
        matte = self.home / "matte" / "alpha.h5"
        outlined = outlines and matte.is_file() and camera is None
        if outlined:
            with AlphaStore(matte) as alphas, self.timed("outlines"):
                track = joint_fit.by_outlines(track, self.store, given, alphas, known)
        if colours:
            with self.timed("colours"):
                track = joint_fit.by_colours(track, self.store)
        if outlined:
            with AlphaStore(matte) as alphas, self.timed("outlines"):
                track, _ = joint_fit.with_offsets(track, self.store, given, alphas)
        return track.params(self.store)


def _one_camera(
    given: Cameras, found: Detections, store: FrameStore, camera: str, focal: float
) -> tuple[Cameras, Detections]:
    """What one camera sees, with a guessed focal length; the others' detections are withheld."""
    number = given.ids.index(camera)
    Ks = given.Ks.copy()
    Ks[number, [0, 1], [0, 1]] = focal * given.sizes[number].max()
    alone = found.found & (store.camera == number)
    return replace(given, Ks=Ks), Detections(found.points, alone)


def speed(run: Run) -> str:
    """Table of the parts' times."""
    steps, frames = len(run.store.time), len(run.store)
    rows = [
        [part, f"{spent:.1f}", f"{(frames if part == 'detection' else steps) / spent:.0f}"]
        for part, spent in run.seconds.items()
    ]
    whole = sum(run.seconds.values())
    rows.append(["all", f"{whole:.1f}", f"{steps / whole:.1f}"])
    header = ["part", "wall, s", "frames (detection) or timesteps per second"]
    text = f"{frames} frames, {steps} timesteps, {len(run.store.camera_ids)} cameras."
    return f"{text}\n\n{report.table(header, rows)}"


def accuracy(scores: dict[str, Score]) -> str:
    """Table of the distances from the truth, a row per way to fit."""
    rows = [
        [
            name, f"{got.face_mm:.2f} ({got.face_mm / got.mean_head_mm - 1:+.0%})",
            f"{got.rotation_degrees:.2f}", f"{np.mean(list(got.correlations.values())):.2f}",
            f"{np.mean(list(got.slopes.values())):.2f}",
        ]
        for name, got in scores.items()
    ]  # fmt: skip
    header = [
        "fit", "face error, mm (against the mean head)", "rotation, degrees", "mean correlation",
        "mean slope",
    ]  # fmt: skip
    mean_head = next(iter(scores.values())).mean_head_mm
    return f"Mean head: {mean_head:.2f} mm.\n\n{report.table(header, rows)}"


def actions(scores: dict[str, Score]) -> str:
    """Table of correlation and slope, a row per action."""
    mean = {
        name: np.mean([got.correlations[name] for got in scores.values()])
        for name in next(iter(scores.values())).correlations
    }
    rows = [
        [name, *(f"{s.correlations[name]:.2f}, {s.slopes[name]:.2f}" for s in scores.values())]
        for name in sorted(mean, key=lambda name: -mean[name])
    ]
    return report.table(["action: correlation, slope", *scores], rows)


def main() -> None:
    parser = report.subject_parser(__doc__)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--camera", default="03", help="also fitted alone, uncalibrated")
    args = parser.parse_args()
    home, rig = args.results / args.subject, HeadRig.load(args.rig)
    with FrameStore(home / "ingest" / "frames.h5") as store:
        run = Run(home, rig, store)
        everything = run.fit()
        report.publish("docs/performance.md", "track_speed", speed(run), SOURCES, args.write)
        if args.truth is None:
            return
        count = len(store.camera_ids)
        fits = {
            f"{count} cameras, landmarks": run.fit(colours=False),
            f"{count} cameras, and colours": everything,
            "1 camera uncalibrated, landmarks": run.fit(colours=False, camera=args.camera),
            "1 camera uncalibrated, and colours": run.fit(camera=args.camera),
        }
    truth, verts = RigParams.load(args.truth / "params.npz"), np.load(args.truth / "verts.npy")
    scores = {name: score(rig, params, truth, verts) for name, params in fits.items()}
    report.publish("docs/quality.md", "track", accuracy(scores), SOURCES, args.write)
    report.publish("docs/quality.md", "track_actions", actions(scores), SOURCES, args.write)


if __name__ == "__main__":
    main()
