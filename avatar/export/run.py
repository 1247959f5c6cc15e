"""Export a trained avatar to files that other programs open."""

from pathlib import Path

import torch

from avatar.export.glb import save_glb
from avatar.export.obj import save_objs
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


def export_glb(
    subject: Subject, timestep: int, up: str, licensed: bool, output: Path | None = None
) -> Path:
    """Write the mesh with morph targets, skin and the recorded motion; return its path.

    Args:
        timestep: pose and expression while no animation plays.
        licensed: write a rig that has a licence of its own, too.
    Raises:
        UserError: there is no such timestep, or the rig is licensed.
    """
    path = subject.home / "export" / f"{subject.home.name}.glb" if output is None else output
    subject.check_licence(licensed, str(path))
    subject.check_timestep(timestep)
    save_glb(path, subject.rig, subject.avatar.params, timestep, up)
    return path


def export_objs(
    subject: Subject, timestep: int | None, up: str, licensed: bool, output: Path | None = None
) -> Path:
    """Write the posed mesh at every timestep, or at one; return the folder.

    Args:
        timestep: the only one to write.
        licensed: write a rig that has a licence of its own, too.
    Raises:
        UserError: there is no such timestep, the rig is licensed, or the folder holds something.
    """
    folder = subject.home / "export" / f"{subject.home.name}_obj" if output is None else output
    subject.check_licence(licensed, str(folder))
    params = subject.avatar.params
    steps = range(len(params)) if timestep is None else [subject.check_timestep(timestep)]
    save_objs(folder, subject.rig, params, steps, up)
    return folder
