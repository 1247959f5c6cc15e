"""The torso apart from the head: what the outlines of neck and shoulders say of its turning.

The head stays where it was solved and the neck joint with it, so that the torso has three degrees
of freedom at each timestep, its rotation about that joint. It is written as the head's mean over
the sequence, turned by `share` times less than the head turns away from it, and by a drift:

    torso(t) = mean exp((1 - share) away(t) + drift(t)),   head(t) = mean exp(away(t))

The share says how much of the head's turning is the neck's and holds at all times; the drift is
slow, and known where there are outlines. Clothes stand off the mesh: by how much is unknown, alike
left and right and at all times.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar.rig import HeadRig
from avatar.rig.head_rig import NECK, ROOT
from pipeline.track.outline.silhouette import Rim
from pipeline.track.solve import rotations

START = 0.5  # share of the neck at which outlines are measured, and which is expected
SHARE = 0.5  # deviation of the share from what is expected
DRIFT, HOLD = 0.03, 0.5  # rad, s: deviation of the drift, and how long it mostly stays
NOISE, OUTLIER = 0.003, 0.015  # m; deviation of an outline, and where it is an outlier
EVIDENCE = 0.1  # neighbours on an outline err together: each counts as this much of one
CLOTHES, SEAMS = 0.02, 0.04  # m; deviation of the clothes' thickness, and between its places
LIMITS = (0.9, 1.2, 0.7)  # rad; how far a neck bends forwards, turns and leans to the side
ENOUGH = 2  # places where a frame must show neck or shoulders, on average
ROUNDS = 6  # of reweighting


@dataclass(frozen=True)
class Heading:
    """How a head turns: `mean [T,3,3]` of its sequence, `away [T,3]` (rad) from it."""

    mean: Float[np.ndarray, "T 3 3"]
    away: Float[np.ndarray, "T 3"]

    @classmethod
    def of(cls, rotation: Float[np.ndarray, "T 3 3"], clip: Int[np.ndarray, "T"]) -> "Heading":
        """Of a head's rotation; `clip` numbers each timestep's sequence."""
        mean = np.empty_like(rotation)
        for number in np.unique(clip):
            chosen = clip == number
            # The chordal mean (Hartley et al. 2013): the rotation nearest to the matrices' mean.
            u, _, vt = np.linalg.svd(rotation[chosen].mean(0))
            mean[chosen] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        return cls(mean, rotations.log(mean.swapaxes(1, 2) @ rotation))

    def nod(
        self, share: float, drift: Float[np.ndarray, "T 3"] | float = 0.0
    ) -> Float[np.ndarray, "T 3"]:
        """The head's turn against the torso (axis-angle), within the neck's limits."""
        torso = rotations.exp((1 - share) * self.away + drift)
        nod = rotations.log(torso.swapaxes(1, 2) @ rotations.exp(self.away))
        return nod.clip(-np.array(LIMITS), LIMITS)


def solve(
    rig: HeadRig,
    shape: Float[np.ndarray, "S"],
    heading: Heading,
    rim: Rim,
    clip: Int[np.ndarray, "T"],
    time: Float[np.ndarray, "T"],
) -> tuple[float, Float[np.ndarray, "T 3"]]:
    """Share of the neck and drift (rad) of the torso: robust least squares.

    Args:
        rim: of neck and shoulders, measured with a share of `START`, its timesteps counted as
            the heading's.
        clip, time: sequence of each timestep, and seconds.
    """
    knots, place = np.unique(rim.timesteps, return_inverse=True)
    levers, thickness = _levers(rig, shape, rim)
    count, free = len(rim.vertices), 3 * len(knots)
    slopes = np.zeros((count, free + 1 + thickness.shape[1]))
    for axis in range(3):
        slopes[np.arange(count), 3 * place + axis] = levers[:, axis]
    turning = (levers * heading.away[rim.timesteps]).sum(1)
    slopes[:, free], slopes[:, free + 1 :] = -turning, thickness
    target = rim.distances - START * turning  # of (START - share) away + drift, and the clothes
    prior = np.diag(np.r_[np.zeros(free), 1 / SHARE**2, np.full(thickness.shape[1], CLOTHES**-2)])
    prior[:free, :free] = np.kron(_slow(clip[knots], time[knots]), np.eye(3))
    pull = np.zeros(len(prior))
    pull[free] = START / SHARE**2
    weight = np.ones(count)
    for _ in range(ROUNDS):
        weighted = slopes * (EVIDENCE / NOISE**2 * weight)[:, None]
        matrix, vector = prior + slopes.T @ weighted, pull + weighted.T @ target
        found = np.linalg.solve(matrix, vector)
        if not 0 <= found[free] <= 1:
            # A torso turns neither more than its head nor against it.
            share = found[free].clip(0, 1)
            others = np.arange(len(found)) != free
            found[others] = np.linalg.solve(
                matrix[np.ix_(others, others)], vector[others] - matrix[others, free] * share
            )
            found[free] = share
        weight = 1 / (1 + ((slopes @ found - target) / OUTLIER) ** 2) ** 2
    return float(found[free]), _between(found[:free].reshape(-1, 3), knots, clip, time)


def _levers(
    rig: HeadRig, shape: Float[np.ndarray, "S"], rim: Rim
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N P"]]:
    """How an outline moves (m) by the torso's turning (per rad), and by thicker clothes (per m).

    Thickness, in front and behind, is linear between places of equal distance from the middle:
    nothing is thicker on one side, and what leans forwards may be the person's own shape.
    """
    identity = torch.as_tensor(shape, dtype=rig.v_template.dtype)
    rest = (rig.v_template + rig.shapedirs @ identity)[rim.vertices].double().numpy()
    arms = rest - rig.joints(identity)[NECK].double().numpy()
    share = rig.skin_weights[:, ROOT].double().numpy()[rim.vertices]
    places = np.arange(0, np.abs(rest[:, 0]).max() + SEAMS, SEAMS)
    near = np.maximum(0, 1 - np.abs(np.abs(rest[:, :1]) - places) / SEAMS)
    front = (1 + rim.directions[:, 2:]) / 2
    thickness = np.hstack([near * front, near * (1 - front)])
    return share[:, None] * np.cross(arms, rim.directions), thickness


def _slow(clip: Int[np.ndarray, "K"], time: Float[np.ndarray, "K"]) -> Float[np.ndarray, "K K"]:
    """Inverse covariance of a process that forgets over time (Ornstein and Uhlenbeck 1930)."""
    inverse = np.eye(len(time)) / DRIFT**2
    for k in np.flatnonzero(clip[1:] == clip[:-1]):
        memory = np.exp(-(time[k + 1] - time[k]) / HOLD)
        step = np.array([[memory**2, -memory], [-memory, memory**2]]) / (1 - memory**2)
        inverse[k : k + 2, k : k + 2] += step / DRIFT**2
    return inverse


def _between(
    drift: Float[np.ndarray, "K 3"],
    knots: Int[np.ndarray, "K"],
    clip: Int[np.ndarray, "T"],
    time: Float[np.ndarray, "T"],
) -> Float[np.ndarray, "T 3"]:
    """Linear in time between the knots of a sequence, held before and after; 0 without any."""
    result = np.zeros((len(time), 3))
    for number in np.unique(clip[knots]):
        chosen, known = clip == number, clip[knots] == number
        for axis in range(3):
            result[chosen, axis] = np.interp(time[chosen], time[knots[known]], drift[known, axis])
    return result
