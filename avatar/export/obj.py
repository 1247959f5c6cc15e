"""The avatar's mesh as one Wavefront OBJ file for each timestep: `000000.obj`, `000001.obj`, ..."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from avatar.base import cli, files
from avatar.base.errors import UserError
from avatar.export.orientation import rotation_to
from avatar.rig import HeadRig, RigParams


def save_objs(
    folder: Path, rig: HeadRig, params: RigParams, timesteps: Iterable[int], up: str
) -> None:
    """Write the posed mesh at some timesteps: metres to 1 um, texture coordinates, faces.

    Args:
        folder: a new one, or an empty one.
        up: the axis that is up, a key of `orientation.TURNS`.
    Raises:
        UserError: the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty: give another --output, or remove it")
    rest = _texture_and_faces(rig)
    axes = rotation_to(up).mT
    for timestep in cli.progress(timesteps, "export"):
        with torch.no_grad():
            verts = rig(**params.poses(torch.tensor([timestep])))[0] @ axes
        text = "# headsplat: metres\n" + _lines("v", verts.numpy()) + rest
        files.write_text(folder / f"{timestep:06d}.obj", text)


def _texture_and_faces(rig: HeadRig) -> str:
    corners = np.stack([rig.faces.numpy(), rig.uv_faces.numpy()], -1) + 1
    pairs = [" ".join(f"{v}/{t}" for v, t in face) for face in corners.tolist()]
    return _lines("vt", rig.uv.numpy()) + "".join(f"f {face}\n" for face in pairs)


def _lines(kind: str, rows: Float[np.ndarray, "R C"]) -> str:
    form = kind + " %.6f" * rows.shape[1] + "\n"
    return "".join(form % tuple(row) for row in rows.tolist())
