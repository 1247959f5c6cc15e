"""Files of the Gaussians: `avatar.safetensors`, and `point_cloud.ply` as GaussianAvatars has it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avatar.base import files
from avatar.base.errors import UserError
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.model import RiggedGaussians

SCHEMA_VERSION = 2
_SPACE = "expression_space."
_PLY_REST = 45  # f_rest columns of degree 3, which other viewers expect whatever is used


def save_gaussians(
    path: str | Path,
    gaussians: RiggedGaussians,
    about: dict[str, Any],
    space: ExpressionSpace | None = None,
) -> None:
    """Write `avatar.safetensors`, atomically.

    Args:
        about: what else a reader needs (rig, rig_sha256, preset, extent, ...), plain JSON.
        space: what drives the Gaussians' basis, if they have one.
    """
    tensors = gaussians.tensors()
    if space is not None:
        tensors |= {_SPACE + name: value.cpu() for name, value in vars(space).items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    about = {"schema_version": SCHEMA_VERSION, **about}
    with files.atomic(path) as temporary:
        save_file(tensors, temporary, {"headsplat": json.dumps(about, sort_keys=True)})


def load_gaussians(
    path: str | Path,
) -> tuple[RiggedGaussians, dict[str, Any], ExpressionSpace | None]:
    """Read `avatar.safetensors`: the Gaussians, what was said about them, what drives a basis.

    Raises:
        UserError: absent, damaged, or not written by `save_gaussians`.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist: train the subject first")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["headsplat"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["schema_version"] != SCHEMA_VERSION:
            raise UserError(
                f"{path}: schema_version is {about['schema_version']}, expected {SCHEMA_VERSION}: "
                "train again with this version of headsplat"
            )
        driving = [name for name in tensors if name.startswith(_SPACE)]
        driven = {name.removeprefix(_SPACE): tensors.pop(name) for name in driving}
        space = ExpressionSpace(**driven) if driven else None
        gaussians = RiggedGaussians(**tensors)
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is damaged or no avatar of headsplat: train again") from None
    return gaussians, about, space


def save_ply(path: str | Path, gaussians: RiggedGaussians) -> None:
    """Write the Gaussians as other tools read them, atomically.

    Columns, all float32, local and before activation: x y z nx ny nz f_dc_0..2 f_rest_0..44
    opacity scale_0..2 rot_0..3 binding_0. `f_rest` runs over coefficients within a channel;
    degrees that are not used are zero.
    """
    table = ply_table(gaussians)
    header = "ply\nformat binary_little_endian 1.0\n"
    header += f"element vertex {len(table)}\n"
    header += "".join(f"property float {name}\n" for name in ply_columns())
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        file.write((header + "end_header\n").encode())
        file.write(table.astype("<f4").tobytes())


def ply_columns() -> list[str]:
    """Names of the columns, in order."""
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3))]
    names += [f"f_rest_{i}" for i in range(_PLY_REST)]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    return [*names, "binding_0"]


def ply_table(gaussians: RiggedGaussians) -> Float[np.ndarray, "N 63"]:
    """One row per Gaussian, in the order of `ply_columns`."""
    values = gaussians.tensors()
    n = len(gaussians)
    rest = torch.zeros(n, 3, _PLY_REST // 3)
    rest[:, :, : values["sh_rest"].shape[1]] = values["sh_rest"].transpose(1, 2).cpu()
    parts = [
        values["means_local"], torch.zeros(n, 3), values["sh_dc"][:, 0], rest.flatten(1),
        values["opacity_logits"][:, None], values["log_scales"], values["quats_local"],
        values["binding"][:, None].float(),
    ]  # fmt: skip
    return torch.cat([part.cpu() for part in parts], 1).numpy()
