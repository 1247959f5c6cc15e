"""What cameras observe: landmarks over time."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Observations:
    """Landmarks of T timesteps in C cameras.

    Attributes:
        points [T,C,L,2] px; seen [T,C]: whether the camera found a face.
        Ks [C,3,3], viewmats [C,4,4]; time [T] s; clip [T]: number of the sequence.
        covered [T,C,L]: landmarks that something hides, which are ignored; None: unknown.
    """

    points: Float[np.ndarray, "T C L 2"]
    seen: Bool[np.ndarray, "T C"]
    Ks: Float[np.ndarray, "C 3 3"]
    viewmats: Float[np.ndarray, "C 4 4"]
    time: Float[np.ndarray, "T"]
    clip: Int[np.ndarray, "T"]
    covered: Bool[np.ndarray, "T C L"] | None = None

    def __len__(self) -> int:
        return len(self.time)

    def at(self, timesteps: Int[np.ndarray, "B"]) -> "Observations":
        """The same cameras at some of the timesteps."""
        per_timestep = ("points", "seen", "time", "clip")
        part = {name: getattr(self, name)[timesteps] for name in per_timestep}
        covered = None if self.covered is None else self.covered[timesteps]
        return replace(self, **part, covered=covered)
