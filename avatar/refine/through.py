"""Motion refined through an avatar: from afar at some timesteps, then at all of them from near."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.animate.transfer import with_identity
from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.gaussians.avatar_file import Avatar
from avatar.refine import motion
from avatar.refine.descent import Descent, Round
from avatar.refine.targets import Targets, spread_cameras
from avatar.rig import HeadRig, RigParams

log = logging.getLogger(__name__)

COARSE, FINE = 128, 256  # longer side of the compared images, pixels
WINDOW = 128  # timesteps whose frames are in memory together
# Of motion that is pixels away: every so many timesteps, and the rounds that these are refined in.
PASSES = (
    (4, (Round(COARSE, 8, 0.15), Round(COARSE, 6, 0.08), Round(FINE, 6, 0.05))),
    (2, (Round(FINE, 3, 0.02),)),
    (1, (Round(FINE, 3, 0.01),)),
)
# Of motion that has been refined before, at the size that the avatar was trained for: the renderer
# adds the same fraction of a pixel to every Gaussian, so that a smaller render of it is too thick.
AGAIN = (Round(None, 5, 0.03), Round(None, 4, 0.01))


def refine_through(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, timesteps: Int[np.ndarray, "S"]
) -> RigParams:
    """Refine the avatar's motion at some timesteps once more; the avatar stays as it is.

    Args:
        timesteps: whose frames are looked at, those of the cameras that training sees; all others
            keep their parameters.
    Returns:
        Parameters of all timesteps, on the CPU.
    """
    change, seen = _descended(avatar, rig, dataset, timesteps, AGAIN)
    return motion.changed(avatar.params, seen, change)


def refine_tracked(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, timesteps: Int[np.ndarray, "S"]
) -> RigParams:
    """Refine motion that is pixels away, as the tracker finds it.

    The tracker's errors change slowly: at first every few timesteps are enough, and the change is
    interpolated over the others.
    """
    for apart, rounds in PASSES:
        change, seen = _descended(avatar, rig, dataset, timesteps[::apart], rounds)
        nearer = motion.interpolated(avatar.params, seen, change, timesteps)
        avatar = replace(avatar, params=nearer)
    return avatar.params


def refine_capture(avatar: Avatar, rig: HeadRig, dataset: Dataset) -> RigParams:
    """Refine the motion of another capture of the avatar's person; the avatar stays as it is.

    Args:
        dataset: of one camera.
    Returns:
        Parameters of all its timesteps with the avatar's identity, in the dataset's world; on the
        CPU.
    """
    view = torch.from_numpy(dataset.cameras.viewmats[0]).float()
    params = with_identity(avatar.params, dataset.params, rig, -view[:3, :3].T @ view[:3, 3])
    everything = np.arange(len(params))
    params = refine_tracked(replace(avatar, params=params), rig, dataset, everything)
    return refine_through(replace(avatar, params=params), rig, dataset, everything)


def _descended(
    avatar: Avatar,
    rig: HeadRig,
    dataset: Dataset,
    timesteps: Int[np.ndarray, "S"],
    rounds: Sequence[Round],
) -> tuple[Float[Tensor, "R D"], Int[np.ndarray, "R"]]:
    """The change of the motion, and the timesteps that it is of: those that a camera shows.

    A window of timesteps after the other, so that memory is bounded.
    """
    cameras = spread_cameras(dataset, TRAIN)
    seen = Targets(dataset, cameras, FINE).seen(timesteps)
    before = motion.stack(avatar.params, torch.from_numpy(seen))
    change = torch.zeros_like(before)
    for first in range(0, len(seen), WINDOW):
        part = slice(first, first + WINDOW)
        descent = Descent(before[part], avatar.params, rig)
        sizes = {steps.longer for steps in rounds}
        targets = {longer: Targets(dataset, cameras, longer) for longer in sizes}
        for steps in rounds:
            errors = descent.run(avatar, targets[steps.longer], seen[part], steps)
            done = min(first + WINDOW, len(seen))
            shown = (done, len(seen), errors[0], errors[-1])
            log.info("refine: %d of %d timesteps, error %.4f to %.4f", *shown)
        change[part] = descent.values - before[part]
    return change, seen
