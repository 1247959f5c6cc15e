"""A standard 3DGS point cloud: Gaussians in the world frame, as viewers and editors open them.

Layout: Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023, as their
published viewers read it. The rig is not in the file: it is one pose of the avatar.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.base import files
from avatar.render import WorldGaussians

_REST = 45  # f_rest columns of degree 3, which readers expect whatever degree is used
COLUMNS = (
    *("x", "y", "z", "nx", "ny", "nz"),
    *(f"f_dc_{i}" for i in range(3)),
    *(f"f_rest_{i}" for i in range(_REST)),
    "opacity",
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
)
_TINY = 1e-12  # m; a collapsed triangle's Gaussian has no size, and zero no logarithm
_OPAQUE = 1e-7  # how far from 0 and 1 an opacity stays, so that its logit is finite


def save_scene(path: Path, gaussians: WorldGaussians) -> None:
    """Write Gaussians at one timestep, atomically: float32, metres."""
    write(path, ["headsplat: Gaussians in the world frame, metres"], COLUMNS, table(gaussians))


def table(gaussians: WorldGaussians) -> Float[np.ndarray, "N 62"]:
    """One row per Gaussian, in the order of `COLUMNS`."""
    means, log_scales, logits, quats = before_activation(gaussians)
    normals = torch.zeros_like(means)
    color = color_columns(gaussians.sh_coeffs.detach().cpu())
    return torch.cat([means, normals, color, logits[:, None], log_scales, quats], 1).numpy()


def before_activation(
    gaussians: WorldGaussians,
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3"], Float[Tensor, "N"], Float[Tensor, "N 4"]]:
    """Means (m), logarithms of scales (m), logits of opacities and unit quaternions, on the CPU."""
    values = (gaussians.means, gaussians.scales, gaussians.opacities, gaussians.quats)
    means, scales, opacities, quats = (value.detach().cpu() for value in values)
    quats = torch.nn.functional.normalize(quats, dim=-1)
    return means, scales.clamp(min=_TINY).log(), opacities.logit(eps=_OPAQUE), quats


def color_columns(sh_coeffs: Float[Tensor, "N K 3"]) -> Float[Tensor, "N 48"]:
    """`f_dc` and `f_rest`: over coefficients within a channel; unused degrees are zero."""
    n, count, _ = sh_coeffs.shape
    rest = torch.zeros(n, 3, _REST // 3)
    rest[:, :, : count - 1] = sh_coeffs[:, 1:].transpose(1, 2)
    return torch.cat([sh_coeffs[:, 0], rest.flatten(1)], 1)


def write(
    path: Path, comments: Sequence[str], columns: Sequence[str], rows: Float[np.ndarray, "N M"]
) -> None:
    """Write a binary PLY of float32 columns, atomically."""
    header = "ply\nformat binary_little_endian 1.0\n"
    header += "".join(f"comment {line}\n" for line in comments)
    header += f"element vertex {len(rows)}\n"
    header += "".join(f"property float {name}\n" for name in columns)
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        file.write((header + "end_header\n").encode())
        file.write(rows.astype("<f4").tobytes())
