"""Rig parameters of all timesteps, refined through a coarse avatar of the training frames.

The tracker's motion does not agree with an avatar to the pixel, and training cannot make it agree:
it sees a frame a few dozen times. Here an avatar of few pixels and few Gaussians is trained, and
in turn with it the motion of its frames refined, so that both come to agree; identity and static
offsets follow from the parallax. Then the motion of every timestep, seen in training or not, is
refined through that avatar by one procedure: held-out timesteps are described as the training's
are, and no pixel of theirs has changed the avatar.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int

from avatar.base import cli
from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.initial import training_rows
from avatar.refine import motion
from avatar.refine.descent import Descent, Round, residual
from avatar.refine.settings import RefineSettings
from avatar.refine.targets import Targets, spread_cameras
from avatar.refine.through import COARSE, FINE, refine_tracked
from avatar.rig import HeadRig, RigParams
from avatar.train.presets import QUICK, override
from avatar.train.trainer import Trainer

log = logging.getLogger(__name__)

MOST = 128  # training timesteps that shape the coarse avatar, spread over time
MEASURED = 40  # timesteps of either part that are measured, spread over time


@dataclass(frozen=True)
class Turn:
    """A part of the coarse avatar's training, then of its motion's refinement.

    Attributes:
        share: of the coarse avatar's images; longer: longer side of these, pixels.
        part: of the refinement, or None.
    """

    share: float
    longer: int
    part: Round | None = None


TURNS = (
    Turn(0.1, COARSE),
    Turn(0.1, COARSE, Round(COARSE, 4, 0.15)),
    Turn(0.1, COARSE, Round(COARSE, 4, 0.12)),
    Turn(0.1, COARSE, Round(COARSE, 4, 0.10)),
    Turn(0.2, FINE, Round(COARSE, 4, 0.08)),
    Turn(0.2, FINE, Round(FINE, 3, 0.05)),
    Turn(0.2, FINE, Round(FINE, 3, 0.03)),
)
# One Gaussian a face and no basis: what motion can explain is left to the motion.
_COARSE = {
    "name": "coarse",
    "basis": {"size": 0},
    "density": {"interval": 0},
    "rates": {"color_evidence": 0.0},
    "rig": {"expr": 0, "pose": 0, "translation": 0, "shape": 0.01, "static_offset": 2e-4},
}


def refine_poses(
    dataset: Dataset, rig: HeadRig, settings: RefineSettings, seed: int, device: torch.device
) -> tuple[RigParams, dict[str, float]]:
    """Refine the tracker's parameters; identity and static offsets are refined as well.

    Args:
        seed: of everything random.
        device: where the avatar is rendered.
    Returns:
        Parameters of all timesteps, on the CPU, and for quality.json the error (`residual`) of
        training and held-out timesteps through the coarse avatar, before and after.
    """
    avatar = coarse_avatar(dataset, rig, settings.images, seed, device)
    everything = np.arange(len(dataset.params))
    refined = refine_tracked(avatar, rig, dataset, everything)
    tracked = replace(dataset.params, shape=refined.shape, static_offset=refined.static_offset)
    stages = {"tracked": tracked, "refined": refined}
    trained = np.unique(dataset.timestep[dataset.rows(TRAIN)])
    parts = {"training": trained, "others": np.setdiff1d(everything, trained)}
    return refined, {
        f"error_{part}_{stage}": _error(replace(avatar, params=params), rig, dataset, timesteps)
        for stage, params in stages.items()
        for part, timesteps in parts.items()
    }


def coarse_avatar(
    dataset: Dataset, rig: HeadRig, images: int, seed: int, device: torch.device
) -> Avatar:
    """An avatar of training frames, trained and its motion refined in turn.

    Its parameters: motion that agrees with it at the timesteps that it was trained on, and the
    same change, interpolated, at the others of their sequences.
    """
    rows = training_rows(dataset)
    timesteps = _spread(np.unique(dataset.timestep[rows]), MOST)
    rows = rows[np.isin(dataset.timestep[rows], timesteps)]
    preset = override(QUICK, _COARSE | {"images": images})
    trainer = Trainer(dataset, dataset.params, rig, preset, seed, device, rows)
    cameras = spread_cameras(dataset, TRAIN)
    sizes: tuple[int | None, ...] = (COARSE, FINE)
    targets = {longer: Targets(dataset, cameras, longer) for longer in sizes}
    timesteps = targets[COARSE].seen(timesteps)
    tracked = motion.stack(dataset.params, torch.from_numpy(timesteps))
    descent = Descent(tracked, dataset.params, rig)
    steps = cli.progress(trainer.steps(), "coarse avatar", trainer.total_steps)
    share = 0.0
    for turn in TURNS:
        share += turn.share
        trainer.shrink = targets[turn.longer].shrink
        while trainer.images < round(share * images):
            next(steps)
        if turn.part is not None:
            of = trainer.avatar({})
            errors = descent.run(of, targets[turn.part.longer], timesteps, turn.part)
            log.info("refine: %d of %d images, error %.4f", trainer.images, images, errors[-1])
        # What all have in common is the avatar's to learn: held-out timesteps do not share it.
        change = descent.values - tracked
        change -= change.mean(0)
        descent.values = tracked + change
        trainer.params = motion.changed(dataset.params, timesteps, change).to(device)
    next(steps, None)  # it ends: threads that decode frames are stopped
    avatar = trainer.avatar({})
    others = np.setdiff1d(np.arange(len(dataset.params)), timesteps)
    return replace(avatar, params=motion.interpolated(avatar.params, timesteps, change, others))


def _spread(values: Int[np.ndarray, "N"], most: int) -> Int[np.ndarray, "S"]:
    return values[np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).astype(int))]


def _error(
    avatar: Avatar, rig: HeadRig, dataset: Dataset, timesteps: Int[np.ndarray, "S"]
) -> float:
    """Mean error of some of the timesteps, spread over time; NaN without any."""
    targets = Targets(dataset, spread_cameras(dataset, TRAIN), FINE)
    seen = _spread(targets.seen(timesteps), MEASURED)
    if len(seen) == 0:
        return float("nan")
    values = motion.stack(avatar.params, torch.from_numpy(seen))
    errors, _ = residual(avatar, rig, targets, seen, values)
    return float(errors.mean())
