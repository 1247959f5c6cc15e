"""What a finished run leaves in `results/<subject>/avatar/`, and whether it is there already."""

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from avatar.base import files
from avatar.base.folders import replacing
from avatar.base.version import code_version
from avatar.export import flame_params, ply
from avatar.gaussians.avatar_file import load_avatar, read_about, save_avatar
from avatar.gaussians.initial import neutral_frames
from avatar.rig import HeadRig
from avatar.train.checkpoint import preset_hash
from avatar.train.presets import Preset
from avatar.train.trainer import Trainer

FLAME = "flame"  # name of the rig that is made from a FLAME file
LOG = "train_log.csv"


@dataclass(frozen=True)
class Run:
    """One run of training.

    Attributes:
        subject: its name.
        preset: all settings of the run.
        plain: the same preset without the user's overrides.
        seed: of everything random.
        torso: whether the frames were shown with it.
        key: see `avatar.train.checkpoint.run_key`.
    """

    subject: str
    preset: Preset
    plain: Preset
    seed: int
    torso: bool
    key: dict[str, str]

    def about(self, trainer: Trainer, rig: HeadRig) -> dict[str, Any]:
        """What a reader of the avatar may ask: settings, data, code and amount of training."""
        changed = preset_hash(self.preset) != preset_hash(self.plain)
        return {
            "subject": self.subject,
            "rig": rig.name,
            "rig_sha256": rig.sha256,
            "seed": self.seed,
            "preset": asdict(self.preset),
            "overrides_hash": preset_hash(self.preset)[:8] if changed else "",
            "torso": self.torso,
            "extent": trainer.extent,
            "images": trainer.images,
            "seconds": round(trainer.seconds, 3),
            "gaussians": len(trainer.gaussians),
            "background": self.preset.batch.background,
            "code_version": code_version(),
            "torch_version": torch.__version__,
            "dataset_sha256": self.key["dataset"],
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "run": self.key,
        }


def is_finished(folder: Path, run: Run, rig: HeadRig) -> bool:
    """Whether the folder holds the whole avatar of exactly this run; then its files are touched.

    Dataset, parameters, settings, seed, code and rig are compared, and every file with its
    checksum.
    """
    about = read_about(folder)
    if about is None or about.get("run") != run.key or about.get("rig_sha256") != rig.sha256:
        return False
    for path in folder.iterdir():
        os.utime(path)  # newer than what they were made from, for workflows that compare times
    return True


def write(folder: Path, trainer: Trainer, rig: HeadRig, run: Run) -> None:
    """Write the avatar beside the former one, read it back, and swap it in."""
    avatar = trainer.avatar(run.about(trainer, rig))
    with replacing(folder) as new:
        rest = neutral_frames(rig, avatar.params).quat
        ply.save_ply(new / ply.NAME, avatar.gaussians, rest)
        if rig.name == FLAME:
            flame_params.save_flame_params(new / flame_params.NAME, rig, avatar.params)
        files.write_text(new / LOG, trainer.log.table())
        save_avatar(new, avatar)
        load_avatar(new, rig)
