"""A first pose of the head at every timestep, from each camera alone."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from pipeline.track import rotations
from pipeline.track.model import LandmarkModel
from pipeline.track.problem import Observations

STEADY = 60  # landmarks that place the head: those the rig knows best


def head_poses(
    model: LandmarkModel, observations: Observations
) -> tuple[Float[np.ndarray, "T 3 3"], Float[np.ndarray, "T 3"], Bool[np.ndarray, "T"]]:
    """Pose of the mean head at rest by the perspective-n-point problem.

    Every camera that sees a face proposes a pose (SQPnP, Terzakis and Lourakis 2020); the one
    that agrees best with all cameras of its timestep is taken, so that one camera's mistaken
    detection does no harm.

    Returns:
        Rotation about the model's pivot, place of the pivot (m, world), and whether any camera
        proposed a head that lies in front of it and faces it.
    """
    steady = np.argsort(model.spread, kind="stable")[:STEADY]
    rest = model.points(np.zeros(model.num_shape), np.zeros((1, model.num_expr)), np.zeros((1, 9)))
    rest = np.ascontiguousarray(rest[0].T[steady] - model.pivot)
    count = len(observations)
    turns, places = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    placed = np.zeros(count, bool)
    for timestep in range(count):
        cameras = np.flatnonzero(observations.seen[timestep])
        points = observations.points[timestep][np.ix_(cameras, steady)]
        points = np.ascontiguousarray(points, np.float64)
        proposals = [
            pose
            for camera, seen in zip(cameras, points, strict=True)
            if (
                pose := _propose(rest, seen, observations.Ks[camera], observations.viewmats[camera])
            )
        ]
        if proposals:
            turn, place = (np.stack(part) for part in zip(*proposals, strict=True))
            best = _disagreement(rest, turn, place, points, observations, cameras).argmin()
            turns[timestep], places[timestep], placed[timestep] = turn[best], place[best], True
    return turns, places, placed


def _propose(
    rest: np.ndarray, seen: np.ndarray, K: np.ndarray, viewmat: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    found, turn, place = cv2.solvePnP(rest, seen, K, np.zeros(0), flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        return None
    in_camera = rotations.exp(turn[:, 0])
    place = place[:, 0]
    if place[2] <= 0 or in_camera[:, 2] @ place >= 0:  # behind the camera, or turned away
        return None
    world = viewmat[:3, :3].T
    return world @ in_camera, world @ (place - viewmat[:3, 3])


def _disagreement(
    rest: Float[np.ndarray, "L 3"],
    turn: Float[np.ndarray, "P 3 3"],
    place: Float[np.ndarray, "P 3"],
    points: Float[np.ndarray, "C L 2"],
    observations: Observations,
    cameras: np.ndarray,
) -> Float[np.ndarray, "P"]:
    """Per proposal the sum over cameras of the median distance in pixels."""
    world = rest @ turn.swapaxes(1, 2) + place[:, None]
    viewmats, Ks = observations.viewmats[cameras], observations.Ks[cameras]
    seen = world[:, None] @ viewmats[:, :3, :3].swapaxes(1, 2) + viewmats[:, None, :3, 3]
    pixel = seen[..., :2] / np.maximum(seen[..., 2:], 1e-3) * Ks[:, None, [0, 1], [0, 1]]
    distance = np.linalg.norm(pixel + Ks[:, None, :2, 2] - points, axis=-1)
    return np.median(distance, axis=-1).sum(-1)
