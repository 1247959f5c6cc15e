"""Landmarks that something covers: the skin about them has lost its colours.

A detector places all landmarks of a face, also those behind a hand or a mask: it makes them up.
The skin's colours are learnt from the whole capture; where most points of the skin about a
landmark have others, the landmark is an outlier.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from pipeline.track.photometric import refine
from pipeline.track.photometric.appearance import learn
from pipeline.track.photometric.samples import Frames
from pipeline.track.photometric.skin import Skin
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State

INTERVAL = 0.2  # s between two frames that are looked at: hands move slowly in and out
BLUR = 2.0  # pixels: small errors of the pose do not matter
STRANGE = 4.0  # deviations from the learnt colour
AROUND, REACH = 16, 0.02  # points of the skin about a landmark, and m in which they lie
MOST, LEAST = 0.6, 4  # share of them that is strange, and how many must be visible
COVERED = 0.15  # share of the landmarks below which it is shadows or wrinkles
REJECTED = 0.3  # share from which a detector makes up the whole face


def occluded(
    problem: Problem, state: State, skin: Skin, frame: Frames
) -> Bool[np.ndarray, "T C L"]:
    """Which landmarks are covered in which camera.

    Args:
        problem, state: solved by landmarks.
        skin: of the same rig; frame: by the problem's timesteps.
    """
    chosen = _sample(problem.observations.time)
    observed, piece = problem.observations.at(chosen), state.at(chosen)
    views = refine.cut_views(observed, piece, skin, lambda t, c: frame(int(chosen[t]), c))
    seen = list(refine.samples_of(observed, piece, skin, views, BLUR))
    values = np.concatenate([part.values for part in seen])
    visible = np.concatenate([part.visible for part in seen])
    normals = np.concatenate([part.normals for part in seen])
    colours = learn(values, visible, normals)
    relative = np.abs(values - colours.predict(normals)) / colours.deviation
    covered = _covered(visible, (relative > STRANGE).any(-1) & visible, _neighbours(problem, skin))
    return _between(covered, chosen, len(problem.observations))


def without(
    observed: Observations, valid: Bool[np.ndarray, "T"], covered: Bool[np.ndarray, "N C L"]
) -> Observations:
    """Observations without covered landmarks, and without faces of which too much is covered.

    Args:
        covered: of the N valid timesteps.
    """
    everywhere = np.zeros((len(valid), *covered.shape[1:]), bool)
    everywhere[valid] = covered
    seen = observed.seen & ~(everywhere.mean(2) > REJECTED)
    return replace(observed, covered=everywhere, seen=seen if seen.any() else observed.seen)


def stretches(
    covered: Bool[np.ndarray, "T C L"], sequence: Int[np.ndarray, "T"]
) -> list[tuple[int, int, int]]:
    """Camera, first and last timestep of every stretch in which some of the face is covered."""
    found = []
    for camera, flags in enumerate(covered.any(2).T):
        starts = flags & np.append(True, ~flags[:-1] | (sequence[1:] != sequence[:-1]))
        stops = flags & np.append(~flags[1:] | (sequence[1:] != sequence[:-1]), True)
        pairs = zip(np.flatnonzero(starts).tolist(), np.flatnonzero(stops).tolist(), strict=True)
        found += [(camera, first, last) for first, last in pairs]
    return found


def _sample(time: Float[np.ndarray, "T"]) -> Int[np.ndarray, "K"]:
    pace = float(np.median(np.diff(time))) if len(time) > 1 else INTERVAL
    stride = max(1, round(INTERVAL / max(pace, 1e-3)))
    return np.unique(np.append(np.arange(0, len(time), stride), len(time) - 1))


def _neighbours(problem: Problem, skin: Skin) -> Int[np.ndarray, "L K"]:
    """Points of the skin about each landmark of the mean head; -1 where there are fewer."""

    def rest(model: LandmarkModel) -> Float[np.ndarray, "N 3"]:
        still = np.zeros(model.num_shape), np.zeros((1, model.num_expr)), np.zeros((1, 9))
        return model.points(*still)[0].T

    tree = cKDTree(rest(skin.points))
    _, near = tree.query(rest(problem.model), AROUND, distance_upper_bound=REACH)
    return np.where(near < len(skin), near, -1)


def _covered(
    visible: Bool[np.ndarray, "K C N"],
    strange: Bool[np.ndarray, "K C N"],
    near: Int[np.ndarray, "L A"],
) -> Bool[np.ndarray, "K C L"]:
    """Landmarks most of whose visible surroundings look strange, where there are many such."""
    known = (visible[..., near] & (near >= 0)).sum(-1)
    odd = (strange[..., near] & (near >= 0)).sum(-1)
    covered = (known >= LEAST) & (odd > MOST * known)
    return covered & (covered.sum(-1, keepdims=True) > COVERED * near.shape[0])


def _between(
    covered: Bool[np.ndarray, "K C L"], chosen: Int[np.ndarray, "K"], count: int
) -> Bool[np.ndarray, "T C L"]:
    """At every timestep what is covered at the one or the other of its neighbours."""
    after = np.searchsorted(chosen, np.arange(count))
    before = np.where(chosen[after] > np.arange(count), after - 1, after)
    return covered[before] | covered[after]
