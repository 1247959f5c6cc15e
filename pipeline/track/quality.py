"""How good a track is, in numbers, and whether it is good enough to train on."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.dataset import FrameStore
from pipeline.landmarks import Detections
from pipeline.quality import Quality
from pipeline.track.problem import Problem, State
from pipeline.track.settings import Gate

EYE_CORNERS = (33, 263)  # MediaPipe's outer corners, the subject's right and left
WINDOW = 15  # timesteps over which the worst range is sought
SATURATED = 0.995  # share of its bound at which a blendshape coefficient is at its limit
STILL = 0.004  # eye distances a frame: slower is a still stretch


def eye_distance(problem: Problem, state: State) -> Float[np.ndarray, "T C"]:
    """Distance of the outer eye corners in pixels, as if the head faced the camera.

    Source: the usual normalisation of landmark errors (Sagonas et al. 2013, 300-W), free of the
    shrinking that a turn of the head causes.
    """
    ids = problem.model.ids.tolist()
    right, left = (ids.index(corner) for corner in EYE_CORNERS)
    head = problem.head(state)
    metres = np.linalg.norm(head[:, left] - head[:, right], axis=1)
    depth = problem.in_cameras(state)[..., 2].mean(2)
    focal = problem.observations.Ks[:, 0, 0] * np.exp(state.zoom)
    return metres[:, None] * focal / depth


def reprojection(problem: Problem, state: State) -> Float[np.ndarray, "T C"]:
    """Mean distance (px) between detected and fitted landmarks; NaN where no face was found.

    The learnt constant errors of the detector are not subtracted: this is what the eye sees.
    """
    plain = replace(state, bias=np.zeros_like(state.bias))
    pixel = problem.project(plain, problem.in_cameras(plain))
    distance = np.linalg.norm(pixel - problem.points, axis=-1)
    visible = problem.trust > 0
    total = np.where(visible, distance, 0).sum(2)
    count = visible.sum(2)
    seen = problem.observations.seen & (count > 0)
    return np.where(seen, total / np.maximum(count, 1), np.nan)


def jitter(problem: Problem, state: State) -> float:
    """Jitter of the fitted landmarks where the head is still, in eye distances.

    White noise of deviation s in a landmark's place gives second differences of deviation
    sqrt(6) s per axis; their root mean square over still moments is taken back by that. NaN where
    nothing is still.
    """
    middle = problem.smooth
    if not len(middle):
        return np.nan
    pixel = problem.project(state, problem.in_cameras(state))
    unit = eye_distance(problem, state)[middle][..., None, None]
    pace = (pixel[middle + 1] - pixel[middle - 1]) / 2 / unit
    change = (pixel[middle + 1] - 2 * pixel[middle] + pixel[middle - 1]) / unit
    still = np.linalg.norm(pace, axis=-1).mean(2) < STILL
    if not still.any():
        return np.nan
    return float(np.sqrt((change[still] ** 2).mean() / 6))


def judge(
    gate: Gate,
    problem: Problem,
    state: State,
    valid: Bool[np.ndarray, "T"],
    store: FrameStore,
    found: Detections,
    overlaps: dict[str, float],
    ready: bool = False,
) -> Quality:
    """Measures of a track, with remarks where they pass a limit.

    Args:
        problem, state: of the solved timesteps.
        valid: which of all timesteps those are.
        found: detections of every row of `store`.
        overlaps: of mesh and alpha, `silhouette_iou` among them; empty without a matte.
        ready: the track was not fitted to the detections, which only measure it.
    """
    names = store.camera_ids
    where = [f"{name} {index}" for name, index in zip(store.sequence, store.index, strict=True)]
    error = reprojection(problem, state)
    per_cent = 100 * error / eye_distance(problem, state)
    per_row = np.bincount(store.camera, minlength=len(names))
    shares = np.bincount(store.camera[found.found], minlength=len(names)) / np.maximum(per_row, 1)
    quality = Quality(
        {
            "face_share": float(valid.mean()),
            "face_share_per_camera": dict(zip(names, shares.tolist(), strict=True)),
            "reprojection_px": _per_camera(error, names),
            "reprojection_percent": _per_camera(per_cent, names),
            "reprojection_percent_mean": _mean(per_cent),
            "jitter_per_mille": 1000 * jitter(problem, state),
            "saturation": float((state.expr >= SATURATED * problem.bounds[1, 9:]).mean()),
            "shape_largest": float(np.abs(state.shape).max()),
            "focal_factor": float(np.exp(state.zoom)),
        }
        | overlaps
    )
    gaps = ", ".join(_ranges(~valid, where)[:3])
    worst = worst_range(per_cent, np.flatnonzero(valid), names, where)
    tracked = "a track of" if ready else "a face in"
    remarks = {
        "face_share": f"{tracked} {{:.0%}} of the timesteps, none {'of' if ready else 'in'} {gaps}"
        + ("" if ready else ": is it in view?"),
        "reprojection_percent_mean": "landmarks miss by {:.1f} % of the eye distance, "
        f"worst {worst}",
        "jitter_per_mille": "landmarks jitter by {:.1f} thousandths of the eye distance",
        "saturation": "{:.0%} of blendshape values are at their limit: the rig does not fit",
        "silhouette_iou": "head mesh and alpha overlap by {:.2f}: look at overlay.mp4",
    }
    limits = {
        "face_share": gate.face_share,
        "reprojection_percent_mean": gate.reprojection,
        "jitter_per_mille": gate.jitter,
        "saturation": gate.saturation,
        "silhouette_iou": gate.silhouette,
    }
    for name, (warn, fail) in limits.items():
        value = quality.metrics.get(name, np.nan)  # NaN passes: nothing was measured
        sign = 1 if warn < fail else -1  # whether a great or a small value is bad
        if sign * value > sign * fail:
            quality.fail(remarks[name].format(value))
        elif sign * value > sign * warn:
            quality.warn(remarks[name].format(value))
    return quality


def _mean(values: Float[np.ndarray, "N C"]) -> float:
    """Mean of what was measured; NaN where nothing was."""
    measured = values[np.isfinite(values)]
    return float(measured.mean()) if len(measured) else np.nan


def _per_camera(values: Float[np.ndarray, "T C"], names: list[str]) -> dict[str, float]:
    counts = np.isfinite(values).sum(0)
    means = np.nansum(values, 0) / np.where(counts > 0, counts, np.nan)
    return dict(zip(names, means.tolist(), strict=True))


def worst_range(
    values: Float[np.ndarray, "N C"],
    timesteps: Int[np.ndarray, "N"],
    names: list[str],
    where: list[str],
) -> str:
    """The camera with the greatest mean, and the stretch where it is worst, in words."""
    camera = int(
        np.argmax([-np.inf if np.isnan(m) else m for m in _per_camera(values, names).values()])
    )
    column = values[:, camera]
    seen = np.flatnonzero(np.isfinite(column))
    if not len(seen):
        return "nowhere"
    width = min(WINDOW, len(seen))
    sums = np.convolve(column[seen], np.ones(width) / width, "valid")
    start = int(sums.argmax())
    first, last = timesteps[seen[start]], timesteps[seen[start + width - 1]]
    return f"camera {names[camera]}, {where[first]} to {where[last]} ({sums[start]:.1f} %)"


def _ranges(mask: Bool[np.ndarray, "T"], where: list[str]) -> list[str]:
    """Runs of True in words, longest first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    runs = sorted(zip(edges[::2], edges[1::2], strict=True), key=lambda run: run[0] - run[1])
    return [f"{where[first]} to {where[last - 1]}" for first, last in runs]
