"""How far the poses of frames are from those that an avatar was trained on."""

import numpy as np
from jaxtyping import Float, Int

from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.rig import RigParams
from avatar.rig.rotations import axis_angle_to_matrix


def head_turns(params: RigParams) -> Float[np.ndarray, "T 3 3"]:
    """The head's rotation in the world: the root's, then the neck's."""
    root, neck = (axis_angle_to_matrix(v.double()) for v in (params.rotation, params.neck_pose))
    return (root @ neck).numpy()


def pose_distances(
    params: RigParams, dataset: Dataset, rows: Int[np.ndarray, "R"]
) -> Float[np.ndarray, "R"]:
    """Angle (degrees) between each frame's head and the nearest training timestep's.

    Both as the frame's camera sees them; cameras do not move. The training timesteps are those of
    which training has that camera's frame, all of them for a camera that training has not.
    """
    turns, distances = head_turns(params), np.zeros(len(rows))
    training = dataset.rows(TRAIN)
    for camera in np.unique(dataset.camera[rows]):
        same = training[dataset.camera[training] == camera]
        known = np.unique(dataset.timestep[same if len(same) else training])
        chosen = dataset.camera[rows] == camera
        # trace(A^T B) = 1 + 2 cos(angle)
        traces = np.einsum("rij,kij->rk", turns[dataset.timestep[rows[chosen]]], turns[known])
        cosines = (traces.max(1) - 1) / 2
        distances[chosen] = np.degrees(np.arccos(cosines.clip(-1, 1)))
    return distances
