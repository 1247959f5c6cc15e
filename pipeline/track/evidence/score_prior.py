"""Blendshape scores as a prior of expression and jaw."""

import numpy as np
import torch
from jaxtyping import Bool, Float

from avatar.rig import HeadRig
from avatar.rig.arkit import ARKIT_NAMES, EXPR_NAMES, ROTATIONS, from_arkit
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.priors import PosePrior
from pipeline.track.solve.state import HINGES

DEVIATION = 0.25  # of a score about the coefficient: a network's guess from one picture


def pose_prior(
    rig: HeadRig, scores: Float[np.ndarray, "T 52"], known: Bool[np.ndarray, "T 52"]
) -> PosePrior | None:
    """What scores tell of the rig's expression and of how far the jaw is open.

    The gaze is left to the irises, which tell more. None for a rig without ARKit's actions.

    Args:
        scores: 0..1, in the order of `ARKIT_NAMES`; known: where there is one.
    """
    if list(rig.expr_names) != list(EXPR_NAMES):
        return None
    pose = from_arkit(torch.from_numpy(scores))
    values = np.zeros((len(scores), EXPR - HINGES.start + rig.num_expr))
    precision = np.zeros_like(values)
    values[:, EXPR - HINGES.start :] = pose["expr"].numpy()
    names = [ARKIT_NAMES.index(name) for name in EXPR_NAMES]
    precision[:, EXPR - HINGES.start :] = known[:, names] / DEVIATION**2
    values[:, 0] = pose["jaw_pose"][:, 0].numpy()
    full = ROTATIONS["jawOpen"][2]
    precision[:, 0] = known[:, ARKIT_NAMES.index("jawOpen")] / (DEVIATION * full) ** 2
    return PosePrior(values, precision)
