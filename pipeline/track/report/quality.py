"""How good a track is, in numbers, and whether it is good enough to train on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.data.reader import FrameStore
from pipeline.common.gate import Quality
from pipeline.detect.landmarks import LEFT_EYE, RIGHT_EYE, Detections
from pipeline.track.settings import Gate
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State
from pipeline.track.solve.view_angles import near_front

WINDOW = 15  # timesteps over which the worst range is sought
SATURATED = 0.995  # share of its bound at which a blendshape coefficient is at its limit
STILL = 0.004  # eye distances a frame: slower is a still stretch
OUTLIERS = (0.2, 0.5)  # warn, fail: share of the detected faces that are outliers
NEVER = (1.0, 2.0)  # limits that no share passes
REFERENCE = 512  # pixels of the longer side of a frame, at which jitter is also given


@dataclass(frozen=True)
class Measures:
    """A track's errors over time.

    Attributes:
        valid [T]: whether a timestep was solved; what follows is NaN or False where not.
        frames, found, outliers [T,C]: whether there is a frame, a face in it that is used,
            one that is not.
        pixels, per_cent [T,C]: mean distance of detected and fitted landmarks, and in per cent
            of the eye distance.
        reliable [T,C]: whether that distance tells of the track and not of the detector: the
            camera sees the head near its front, or no camera that finds a face does.
        shake [T,C]: second differences of the fitted landmarks in time where the head is still,
            root mean square, eye distances.
        eyes [T,C]: eye distance, pixels.
        saturated [T,E]: whether an expression coefficient is at its upper bound.
    """

    valid: Bool[np.ndarray, "T"]
    frames: Bool[np.ndarray, "T C"]
    found: Bool[np.ndarray, "T C"]
    outliers: Bool[np.ndarray, "T C"]
    pixels: Float[np.ndarray, "T C"]
    per_cent: Float[np.ndarray, "T C"]
    reliable: Bool[np.ndarray, "T C"]
    shake: Float[np.ndarray, "T C"]
    eyes: Float[np.ndarray, "T C"]
    saturated: Bool[np.ndarray, "T E"]


def measure(
    problem: Problem,
    state: State,
    valid: Bool[np.ndarray, "T"],
    store: FrameStore,
    found: Detections,
) -> Measures:
    """Measure a track.

    Args:
        problem, state: of the solved timesteps.
        valid: which of all timesteps those are.
        found: detections of every row of `store`.
    """
    pixels, eyes = reprojection(problem, state), eye_distance(problem, state)
    near = near_front(problem, state)
    reliable = near | ~(near & np.isfinite(pixels)).any(1, keepdims=True)

    def everywhere(values: np.ndarray, missing: float | bool) -> np.ndarray:
        whole = np.full((len(valid), values.shape[1]), missing, values.dtype)
        whole[valid] = values
        return whole

    def by_frame(flags: Bool[np.ndarray, "M"]) -> Bool[np.ndarray, "T C"]:
        whole = np.zeros((len(valid), len(store.camera_ids)), bool)
        whole[store.timestep, store.camera] = flags
        return whole

    return Measures(
        valid, by_frame(np.ones(len(store), bool)), by_frame(found.found), by_frame(found.outliers),
        everywhere(pixels, np.nan), everywhere(100 * pixels / eyes, np.nan),
        everywhere(reliable, False),
        everywhere(shake(problem, state), np.nan), everywhere(eyes, np.nan),
        everywhere(state.expr >= SATURATED * problem.bounds[1, 9:], False),
    )  # fmt: skip


def eye_distance(problem: Problem, state: State) -> Float[np.ndarray, "T C"]:
    """Distance of the outer eye corners in pixels, as if the head faced the camera.

    Source: the usual normalisation of landmark errors (Sagonas et al. 2013, 300-W), free of the
    shrinking that a turn of the head causes.
    """
    ids = problem.model.ids.tolist()
    right, left = ids.index(RIGHT_EYE), ids.index(LEFT_EYE)
    head = problem.head(state)
    metres = np.linalg.norm(head[:, left] - head[:, right], axis=1)
    depth = np.concatenate(
        [problem.in_cameras(state.at(part))[..., 2].mean(2) for part in problem.parts()]
    )
    focal = problem.observations.Ks[:, 0, 0] * np.exp(state.zoom)
    return metres[:, None] * focal / depth


def reprojection(problem: Problem, state: State) -> Float[np.ndarray, "T C"]:
    """Mean distance (px) between detected and fitted landmarks; NaN where no face was found.

    The learnt constant errors of the detector are not subtracted: this is what the eye sees.
    """
    plain = replace(state, bias=np.zeros_like(state.bias))
    distance = np.linalg.norm(problem.pixels(plain) - problem.points, axis=-1)
    visible = problem.confidence > 0
    total = np.where(visible, distance, 0).sum(2)
    count = visible.sum(2)
    seen = problem.observations.seen & (count > 0)
    return np.where(seen, total / np.maximum(count, 1), np.nan)


def shake(problem: Problem, state: State) -> Float[np.ndarray, "N C"]:
    """Second differences in time of the fitted landmarks, root mean square, eye distances.

    NaN where the head moves, or where three frames in a row are not solved.
    """
    middle = problem.smooth
    result = np.full(problem.observations.seen.shape, np.nan)
    if not len(middle):
        return result
    pixel = problem.pixels(state)
    unit = eye_distance(problem, state)[middle][..., None, None]
    pace = (pixel[middle + 1] - pixel[middle - 1]) / 2 / unit
    change = (pixel[middle + 1] - 2 * pixel[middle] + pixel[middle - 1]) / unit
    still = np.linalg.norm(pace, axis=-1).mean(2) < STILL
    result[middle] = np.where(still, np.sqrt((change**2).mean((2, 3))), np.nan)
    return result


def jitter(shaken: Float[np.ndarray, "T C"]) -> float:
    """Deviation of the noise (in `shaken`'s unit) that explains such second differences.

    White noise of deviation s in a landmark's place gives second differences of deviation
    sqrt(6) s per axis. NaN where nothing is still.
    """
    still = shaken[np.isfinite(shaken)]
    return float(np.sqrt((still**2).mean() / 6)) if len(still) else np.nan


def grade(
    gate: Gate,
    measures: Measures,
    store: FrameStore,
    actions: Sequence[str],
    state: State,
    overlaps: dict[str, float],
    external: bool = False,
) -> Quality:
    """Measures of a track, with messages where they pass a limit.

    Args:
        actions: names of the expression coefficients.
        overlaps: of mesh and alpha, `silhouette_iou` among them; empty without a matte.
        external: the track was not fitted to the detections, which only measure it.
    """
    quality = Quality(_metrics(measures, store, actions, state) | overlaps)
    messages = _messages(measures, store, actions, external)
    limits = {
        "face_share": gate.face_share,
        "outlier_share": NEVER if external else OUTLIERS,
        "reprojection_percent_mean": gate.reprojection,
        "jitter_per_mille": gate.jitter,
        "saturation": gate.saturation,
        "silhouette_iou": gate.silhouette,
    }
    for name, (warn, fail) in limits.items():
        value = quality.metrics.get(name, np.nan)  # NaN passes: nothing was measured
        sign = 1 if warn < fail else -1  # whether a great or a small value is bad
        if sign * value > sign * fail:
            quality.fail(messages[name].format(value))
        elif sign * value > sign * warn:
            quality.warn(messages[name].format(value))
    return quality


def _metrics(
    measures: Measures, store: FrameStore, actions: Sequence[str], state: State
) -> dict[str, Any]:
    """What quality.json reports of a track."""
    names = store.camera_ids
    sequence = np.unique(store.sequence, return_inverse=True)[1]
    shares = measures.found.sum(0) / np.maximum(measures.frames.sum(0), 1)
    at_limit = measures.saturated[measures.valid].mean(0)
    larger = store.sizes.max(1) / REFERENCE
    faces = (measures.found | measures.outliers).sum()
    return {
        "face_share": float(measures.valid.mean()),
        "face_share_per_camera": dict(zip(names, shares.tolist(), strict=True)),
        "lost_between": lost_between(measures.valid, sequence),
        "outlier_detections": dict(zip(names, measures.outliers.sum(0).tolist(), strict=True)),
        "outlier_share": float(measures.outliers.sum() / max(faces, 1)),
        "reprojection_px": _per_camera(measures.pixels, names),
        "reprojection_percent": _per_camera(measures.per_cent, names),
        "reprojection_percent_mean": _mean(_trusted(measures)),
        "jitter_per_mille": 1000 * jitter(measures.shake),
        "jitter_px_at_512": jitter(measures.shake * measures.eyes / larger),
        "saturation": float(measures.saturated[measures.valid].mean()),
        "most_saturated": {actions[int(at_limit.argmax())]: float(at_limit.max())},
        "shape_largest": float(np.abs(state.shape).max()),
        "focal_factor": float(np.exp(state.zoom)),
    }


def _messages(
    measures: Measures, store: FrameStore, actions: Sequence[str], external: bool
) -> dict[str, str]:
    """By metric the message where it passes a limit, with a place for the value."""
    names = store.camera_ids
    where = [f"{name} {index}" for name, index in zip(store.sequence, store.index, strict=True)]
    shares = measures.found.sum(0) / np.maximum(measures.frames.sum(0), 1)
    at_limit = measures.saturated[measures.valid].mean(0)
    gaps = ", ".join(_ranges(~measures.valid, where)[:3])
    saturated = measures.saturated.mean(1, keepdims=True).repeat(len(names), 1)
    camera = int(measures.outliers.sum(0).argmax())
    reprojection = worst_range(_trusted(measures), names, where)
    shaking = worst_range(1000 * measures.shake / np.sqrt(6), names, where)
    absent = (
        f"a track of {{:.0%}} of the timesteps, none of {gaps}"
        if external
        else f"a face in {{:.0%}} of the timesteps, none in {gaps} (camera "
        f"{names[int(shares.argmin())]} sees it least): is it in view?"
    )
    return {
        "face_share": absent,
        "outlier_share": "{:.0%} of the detected faces are outliers, most of them in camera "
        f"{names[camera]}: another person, a covered face, or a mistaken calibration",
        "reprojection_percent_mean": "landmarks miss by {:.1f} % of the eye distance, worst "
        f"camera {reprojection}",
        "jitter_per_mille": "landmarks jitter by {:.1f} thousandths of the eye distance, worst "
        f"camera {shaking}",
        "saturation": "{:.0%} of blendshape values are at their limit, most often "
        f"{actions[int(at_limit.argmax())]} ({at_limit.max():.0%}), worst in "
        f"{worst_range(saturated, names, where).partition(', ')[2]}: the rig does not fit",
        "silhouette_iou": "head mesh and alpha overlap by {:.2f}: look at overlay.mp4",
    }


def lost_between(valid: Bool[np.ndarray, "T"], sequence: Int[np.ndarray, "T"]) -> int:
    """Timesteps without a face between the first and the last with one, over all sequences."""
    lost = 0
    for number in np.unique(sequence):
        known = np.flatnonzero(valid[sequence == number])
        if len(known):
            lost += int(known[-1] - known[0] + 1 - len(known))
    return lost


def _mean(values: Float[np.ndarray, "T C"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _trusted(measures: Measures) -> Float[np.ndarray, "T C"]:
    return np.where(measures.reliable, measures.per_cent, np.nan)


def _per_camera(values: Float[np.ndarray, "T C"], names: list[str]) -> dict[str, float]:
    return {name: _mean(values[:, [camera]]) for camera, name in enumerate(names)}


def worst_range(values: Float[np.ndarray, "T C"], names: list[str], where: list[str]) -> str:
    """The camera with the greatest mean, and the stretch where it is worst, in words."""
    means = np.nan_to_num(list(_per_camera(values, names).values()), nan=-np.inf)
    camera = int(means.argmax())
    column = values[:, camera]
    seen = np.flatnonzero(np.isfinite(column))
    if len(seen) == 0:
        return "unknown, nowhere"
    width = min(WINDOW, len(seen))
    sums = np.convolve(column[seen], np.ones(width) / width, "valid")
    start = int(sums.argmax())
    first, last = where[seen[start]], where[seen[start + width - 1]]
    return f"{names[camera]}, {first} to {last} ({sums[start]:.2g})"


def _ranges(mask: Bool[np.ndarray, "T"], where: list[str]) -> list[str]:
    """Runs of True in words, longest first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    runs = sorted(zip(edges[::2], edges[1::2], strict=True), key=lambda run: run[0] - run[1])
    return [f"{where[first]} to {where[last - 1]}" for first, last in runs]
