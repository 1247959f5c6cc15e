"""The unknowns of the tracker, which of them are free, and a quadratic model of the cost in these.

The unknowns of a timestep are 15 + E numbers: a turn of the head about its pivot (3, rad, in the
head's frame), the pivot's place (3, m, world), the hinges (9, rad: jaw, left eye, right eye) and
E expression coefficients. Shared by all timesteps are the S shape coefficients and the
logarithm of the zoom (one factor on every focal length).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from pipeline.track.solve.kernels import EXPR, HINGE

ROTATION, CENTRE, JAW, EYES = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 15)
HINGES = slice(HINGE, EXPR)


@dataclass(frozen=True)
class State:
    """A guess at the unknowns.

    `bias [C,L,2]` (m at the head's depth, image axes) is what a camera's detections of a
    landmark are off by at all times: the detector's habit, not the head's shape.
    """

    shape: Float[np.ndarray, "S"]
    zoom: float
    rotation: Float[np.ndarray, "T 3 3"]
    centre: Float[np.ndarray, "T 3"]
    hinges: Float[np.ndarray, "T 9"]
    expr: Float[np.ndarray, "T E"]
    bias: Float[np.ndarray, "C L 2"]

    def at(self, timesteps: Int[np.ndarray, "B"]) -> "State":
        """The guess at some of the timesteps."""
        per_timestep = ("rotation", "centre", "hinges", "expr")
        return replace(self, **{name: getattr(self, name)[timesteps] for name in per_timestep})

    def with_part(self, timesteps: Int[np.ndarray, "B"], part: "State") -> "State":
        """The guess with that of a part in place of its own at some of the timesteps."""
        arrays = {}
        for name in ("rotation", "centre", "hinges", "expr"):
            arrays[name] = getattr(self, name).copy()
            arrays[name][timesteps] = getattr(part, name)
        return replace(part, **arrays)


@dataclass(frozen=True)
class Free:
    """Which unknowns a solve may move: indices into a timestep's and the shared ones."""

    frame: Int[np.ndarray, "P"]
    shared: Int[np.ndarray, "Q"]


@dataclass
class Normal:
    """A quadratic model of the cost about a state; smoothness is kept apart (it is banded)."""

    frame: Float[np.ndarray, "T P P"]
    cross: Float[np.ndarray, "T P Q"]
    shared: Float[np.ndarray, "Q Q"]
    frame_gradient: Float[np.ndarray, "T P"]
    shared_gradient: Float[np.ndarray, "Q"]
