"""Export a trained avatar to files that other programs open."""

from pathlib import Path

import torch

from avatar.export.orientation import turned
from avatar.export.scene_ply import save_scene
from avatar.export.spz import save_spz
from avatar.export.subject import Subject

SCENES = {"ply": save_scene, "spz": save_spz}  # what writes the Gaussians at one timestep


def export_scene(
    what: str, subject: Subject, timestep: int, up: str, output: Path | None = None
) -> Path:
    """Write the Gaussians at one timestep as a point cloud; return its path.

    Args:
        what: a key of `SCENES`.
        timestep: of the avatar's parameters, over all sequences.
        up: the axis that is up in the file, a key of `orientation.TURNS`.
        output: the file; `export/<subject>_<timestep>.<what>` in the subject's folder if None.
    Raises:
        UserError: there is no such timestep.
    """
    subject.check_timestep(timestep)
    with torch.no_grad():
        _, gaussians = subject.avatar.pose(subject.rig, timestep)
    name = f"{subject.home.name}_{timestep:06d}.{what}"
    path = subject.home / "export" / name if output is None else output
    SCENES[what](path, turned(gaussians, up))
    return path
