"""From how far off the head's front each camera sees it: beyond a limit, the detector guesses."""

import numpy as np
from jaxtyping import Bool, Float

from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State

NEAR_FRONT = (
    50.0  # degrees: beyond, landmarks were measured to be 6 to 12 % of the eye distance off
)


def near_front(problem: Problem, state: State) -> Bool[np.ndarray, "T C"]:
    """Where a camera sees the head nearly enough from its front for the detector to be trusted."""
    return view_angles(problem, state) < NEAR_FRONT


def view_angles(problem: Problem, state: State) -> Float[np.ndarray, "T C"]:
    """Degrees between where the head looks and the direction to each camera."""
    turns = problem.observations.viewmats[None, :, :3, :3] @ state.rotation[:, None]
    parts = [problem.in_cameras(state.at(part)).mean(2) for part in problem.parts()]
    sight = np.concatenate(parts)
    towards = -(turns[..., 2] * sight).sum(-1) / np.linalg.norm(sight, axis=-1)
    return np.degrees(np.arccos(np.clip(towards, -1, 1)))
