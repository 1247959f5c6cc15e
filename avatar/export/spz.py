"""SPZ, the compressed point cloud of Niantic: about a tenth of the PLY's size, with losses.

Version 3 of the layout that they publish: a header of 16 bytes, then the attributes one after
another (positions, alphas, colours, scales, rotations, harmonics), all gzipped. World: right, up,
back, which is this package's world for a face at rest.

Steps: position 1 um for scenes within 8 m, twice that for each doubling; scale 6 %, down to 45 um;
opacity and colour 8 bits, the latter for constant coefficients of -3.3..3.3; rotation 0.1 degrees;
harmonics of degree 1 and above 8 bits for -1..1.
"""

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatar.base import files
from avatar.export.scene_ply import before_activation
from avatar.render import WorldGaussians

_MAGIC, _VERSION = 0x5053474E, 3
_MOST_FRACTION = 20  # bits of a position after the point, of 24 with sign: scenes within 8 m
_COLOR = 0.15 * 255  # bytes for a constant coefficient of 1
_COMPONENT = 511 * math.sqrt(2)  # of a rotation: the three smaller ones are below 1 / sqrt(2)


def save_spz(path: Path, gaussians: WorldGaussians) -> None:
    """Write Gaussians at one timestep, atomically."""
    means, log_scales, _, quats = before_activation(gaussians)
    opacities, coeffs = (v.detach().cpu() for v in (gaussians.opacities, gaussians.sh_coeffs))
    fraction = fraction_bits(means)
    header = struct.pack(
        "<IIIBBBB", _MAGIC, _VERSION, len(means), gaussians.sh_degree, fraction, 0, 0
    )
    count = (gaussians.sh_degree + 1) ** 2
    parts = [
        positions(means, fraction),
        _bytes(opacities * 255),
        _bytes(coeffs[:, 0] * _COLOR + 127.5),
        _bytes((log_scales + 10) * 16),
        smallest_three(quats),
        _bytes(coeffs[:, 1:count] * 128 + 128),
    ]
    body = header + b"".join(part.tobytes() for part in parts)
    with files.atomic(path) as temporary:
        temporary.write_bytes(gzip.compress(body, mtime=0))


def fraction_bits(means: Float[Tensor, "N 3"]) -> int:
    """How many of a position's 23 bits without the sign are for fractions of a metre."""
    furthest = float(means.abs().max())
    return min(_MOST_FRACTION, 22 - math.floor(math.log2(max(furthest, 1.0))))


def positions(means: Float[Tensor, "N 3"], fraction: int) -> UInt8[np.ndarray, "N 3 3"]:
    """Fixed-point numbers of three bytes each."""
    fixed = (means.double() * 2**fraction).round().numpy().astype("<i4")
    return fixed[..., None].view(np.uint8)[..., :3]


def smallest_three(quats: Float[Tensor, "N 4"]) -> UInt8[np.ndarray, "N 4"]:
    """Which component is the largest (2 bits; x y z w), then sign and 9 bits of each other one.

    Args:
        quats: unit, wxyz.
    """
    xyzw = quats.roll(-1, dims=-1).double()
    largest = xyzw.abs().argmax(-1, keepdim=True)
    xyzw = xyzw * torch.where(xyzw.gather(-1, largest) < 0, -1.0, 1.0)
    packed = largest[:, 0].clone()
    for component in range(4):
        value = xyzw[:, component]
        size = (value.abs() * _COMPONENT + 0.5).long().clamp(max=511)
        added = (packed << 10) | ((value < 0).long() << 9) | size
        packed = torch.where(largest[:, 0] == component, packed, added)
    return packed.numpy().astype("<u4")[:, None].view(np.uint8)


def _bytes(values: Float[Tensor, "..."]) -> UInt8[np.ndarray, "..."]:
    return values.round().clamp(0, 255).to(torch.uint8).numpy()
