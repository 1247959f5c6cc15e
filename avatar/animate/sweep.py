"""A motion that shows each expression of a rig in turn."""

import numpy as np

from avatar.animate import motion
from avatar.rig import HeadRig, RigParams

SECONDS = 0.8  # of an expression, from nothing to its peak and back
PRINCIPAL_PEAK = 2.0  # deviations, for directions of variance; actions reach 1


def sweep(own: RigParams, rig: HeadRig, fps: float) -> RigParams:
    """Every expression rises and falls, one after the other; head and torso rest.

    Args:
        own: of the avatar.
        fps: timesteps per second.
    """
    names = motion.names_of(rig)
    steps = max(2, round(SECONDS * fps))
    wave = (1 - np.cos(2 * np.pi * np.arange(steps) / steps)) / 2
    if rig.principal_expr:
        wave = PRINCIPAL_PEAK * wave
    count = steps * len(names)
    strengths = {}
    for place, name in enumerate(names):
        strengths[name] = np.zeros(count)
        strengths[name][place * steps : (place + 1) * steps] = wave
    poses = motion.named_poses(rig, strengths, count)
    return motion.moved(own, poses, np.arange(count) / fps)
