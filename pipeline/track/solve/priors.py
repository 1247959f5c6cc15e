"""What other sources than landmarks tell: quadratic costs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.track.solve.state import State


@dataclass(frozen=True)
class ShapePrior:
    """What another source tells of the shape: a quadratic cost about `shape`.

    `hessian [S,S]` and `gradient [S]` are those of the cost there.
    """

    shape: Float[np.ndarray, "S"]
    hessian: Float[np.ndarray, "S S"]
    gradient: Float[np.ndarray, "S"]


@dataclass(frozen=True)
class PosePrior:
    """What another source tells of each timestep's hinges and blendshapes: `values` and the
    `precision` (inverse variance) of each; 0 where it tells nothing."""

    values: Float[np.ndarray, "T D"]
    precision: Float[np.ndarray, "T D"]

    def at(self, timesteps: Int[np.ndarray, "B"]) -> "PosePrior":
        """What it tells of some of the timesteps."""
        return PosePrior(self.values[timesteps], self.precision[timesteps])


@dataclass(frozen=True)
class Evidence:
    """What images tell of the motion beside the landmarks: a quadratic cost about `state`.

    `hessian [T,P0,P0]` and `gradient [T,P0]` are those of the cost there, by all unknowns of a
    timestep; what is shared counts as known.
    """

    state: State
    hessian: Float[np.ndarray, "T P0 P0"]
    gradient: Float[np.ndarray, "T P0"]
