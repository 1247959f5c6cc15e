"""A first pose of the head at every timestep, from each camera alone."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from pipeline.track.solve import rotations
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations

STEADY = 60  # landmarks that place the head: those the rig knows best


@dataclass(frozen=True)
class Poses:
    """The mean head at rest as each camera alone sees it, in the camera's own frame.

    Attributes:
        rest [L,3]: steady landmarks about the model's pivot, m; points [T,C,L,2]: seen, px.
        turn [T,C,3,3], place [T,C,3]: rotation about the pivot and place of the pivot, m.
        found [T,C]: whether there is a pose that lies before the camera and faces it.
    """

    rest: Float[np.ndarray, "L 3"]
    points: Float[np.ndarray, "T C L 2"]
    turn: Float[np.ndarray, "T C 3 3"]
    place: Float[np.ndarray, "T C 3"]
    found: Bool[np.ndarray, "T C"]

    def in_world(
        self, viewmats: Float[np.ndarray, "C 4 4"]
    ) -> tuple[Float[np.ndarray, "T C 3 3"], Float[np.ndarray, "T C 3"]]:
        """The same poses in the world of these cameras."""
        back = viewmats[:, :3, :3].swapaxes(1, 2)
        place = back @ (self.place - viewmats[:, :3, 3])[..., None]
        return back @ self.turn, place[..., 0]


def poses_by_camera(model: LandmarkModel, observations: Observations) -> Poses:
    """Solve the perspective-n-point problem (SQPnP, Terzakis and Lourakis 2020) per face."""
    steady = np.argsort(model.spread, kind="stable")[:STEADY]
    rest = model.points(np.zeros(model.num_shape), np.zeros((1, model.num_expr)), np.zeros((1, 9)))
    rest = np.ascontiguousarray(rest[0].T[steady] - model.pivot)
    points = np.ascontiguousarray(observations.points[:, :, steady], np.float64)
    points[~observations.seen] = np.nan
    count, cameras = observations.seen.shape
    turn, place = np.tile(np.eye(3), (count, cameras, 1, 1)), np.zeros((count, cameras, 3))
    found = np.zeros((count, cameras), bool)
    for timestep, camera in zip(*np.nonzero(observations.seen), strict=True):
        solved, axis, shift = cv2.solvePnP(
            rest, points[timestep, camera], observations.Ks[camera], np.zeros(0),
            flags=cv2.SOLVEPNP_SQPNP,
        )  # fmt: skip
        if not solved:
            continue
        turn[timestep, camera], place[timestep, camera] = rotations.exp(axis[:, 0]), shift[:, 0]
        towards = turn[timestep, camera, :, 2] @ place[timestep, camera]
        found[timestep, camera] = place[timestep, camera, 2] > 0 and towards < 0
    return Poses(rest, points, turn, place, found)


def head_poses(
    model: LandmarkModel, observations: Observations
) -> tuple[Float[np.ndarray, "T 3 3"], Float[np.ndarray, "T 3"], Bool[np.ndarray, "T"]]:
    """Pose of the mean head at rest: of the cameras' proposals that which agrees with most.

    So one camera's mistaken detection does no harm.

    Returns:
        Rotation about the model's pivot, place of the pivot (m, world), and whether any camera
        proposed a head that lies in front of it and faces it.
    """
    poses = poses_by_camera(model, observations)
    distance = disagreement(poses, observations.Ks, observations.viewmats)
    cost = np.where(poses.found, np.nansum(distance, 2), np.inf)
    best = cost.argmin(1)
    rows = np.arange(len(best))
    turn, place = poses.in_world(observations.viewmats)
    return turn[rows, best], place[rows, best], poses.found.any(1)


def disagreement(
    poses: Poses, Ks: Float[np.ndarray, "C 3 3"], viewmats: Float[np.ndarray, "C 4 4"]
) -> Float[np.ndarray, "T C C"]:
    """Median distance (px) between what one camera says and what another sees.

    Returns:
        Per timestep, camera that proposes the pose and camera that looks; NaN where the first
        has none or the second sees no face.
    """
    turn, place = poses.in_world(viewmats)
    count, cameras = poses.found.shape
    distance = np.full((count, cameras, cameras), np.nan)
    seen = np.isfinite(poses.points[..., 0, 0])
    for proposer in range(cameras):
        steps = np.flatnonzero(poses.found[:, proposer])
        world = poses.rest @ turn[steps, proposer].swapaxes(1, 2) + place[steps, proposer, None]
        for camera in range(cameras):
            inside = world @ viewmats[camera, :3, :3].T + viewmats[camera, :3, 3]
            pixel = inside[..., :2] / np.maximum(inside[..., 2:], 1e-3)
            pixel = pixel * Ks[camera, [0, 1], [0, 1]] + Ks[camera, :2, 2]
            off = np.linalg.norm(pixel - poses.points[steps, camera], axis=-1)
            distance[steps, proposer, camera] = np.where(
                seen[steps, camera], np.median(off, axis=-1), np.nan
            )
    return distance
