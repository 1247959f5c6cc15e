"""Which camera and which timesteps are held out where the settings do not say."""

import numpy as np
from jaxtyping import Bool

FRACTION = 0.3  # of a single sequence, at its end


def default_camera(count: int) -> int:
    """The middle one of four cameras or more, else -1: none."""
    return count // 2 if count >= 4 else -1


def default_timesteps(
    sequence: np.ndarray, valid: Bool[np.ndarray, "T"], fraction: float = FRACTION
) -> Bool[np.ndarray, "T"]:
    """The last sequence that has valid timesteps, else the last share of the only one.

    Args:
        sequence: name of each timestep's sequence; valid: timesteps that count.
    """
    tracked = sorted(set(sequence[valid].tolist()))
    if len(tracked) > 1:
        return sequence == tracked[-1]
    count = int(valid.sum())
    order = np.cumsum(valid)  # from 1
    return valid & (order > count - max(1, round(fraction * count)))
