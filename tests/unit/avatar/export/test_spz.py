"""Independent reader of the SPZ: the package `gsply`."""

import gzip
from dataclasses import replace
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch

from avatar.export import spz
from avatar.render import WorldGaussians
from avatar.rig.rotations import quat_to_matrix
from tests.gaussians import random_gaussians
from tests.rigs import toy_rig


def _scene(sh_degree: int) -> WorldGaussians:
    rig = toy_rig()
    gaussians = random_gaussians(len(rig.faces), sh_degree, basis=0)
    gaussians.sh_rest *= 0.3
    return gaussians.activate(rig.v_template, rig.faces)


@pytest.mark.parametrize("sh_degree", [0, 1, 3])
def test_gsply_reads_what_was_written_within_the_steps(sh_degree: int, tmp_path: Path) -> None:
    scene = _scene(sh_degree)
    spz.save_spz(tmp_path / "scene.spz", scene)
    read = gsply.read_spz(tmp_path / "scene.spz")
    assert np.abs(read.means - scene.means.numpy()).max() <= 0.5001 * 2**-20
    wanted = scene.scales.log().clamp(min=-10)
    assert np.abs(read.scales - wanted.numpy()).max() <= 0.5 / 16 + 1e-5
    opacities = torch.tensor(read.opacities).sigmoid()
    assert (opacities - scene.opacities).abs().max() <= 0.501 / 255
    dc = scene.sh_coeffs[:, 0].clamp(-3.3, 3.3).numpy()
    assert np.abs(read.sh0.clip(-3.3, 3.3) - dc).max() <= 0.501 / (0.15 * 255)
    turns = [quat_to_matrix(torch.as_tensor(quats)) for quats in (read.quats, scene.quats)]
    assert (turns[0] - turns[1]).abs().max() < 0.005
    rest = scene.sh_coeffs[:, 1:].clamp(-1, 127 / 128).numpy()
    harmonics = np.zeros_like(rest) if read.shN is None else read.shN  # None at degree 0
    assert harmonics.shape == rest.shape
    assert rest.size == 0 or np.abs(harmonics - rest).max() <= 0.501 / 128


def test_rotations_by_hand() -> None:
    """wxyz; the identity's largest component is w (index 3), the others zero."""
    half = 0.5**0.5
    quats = torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [half, 0, -half, 0]])
    packed = spz.smallest_three(quats).view("<u4")[:, 0].tolist()
    assert packed[:2] == [3 << 30, 3 << 30]
    assert packed[2] == 0
    # Either of the two equal components may be the largest; the other is 511 with a minus.
    assert packed[3] in ((1 << 30) | (1 << 9) | 511, (3 << 30) | (1 << 19) | (511 << 10))


@pytest.mark.parametrize(
    ("furthest", "bits"), [(0.0, 20), (7.9, 20), (8.0, 19), (15.9, 19), (5000.0, 10)]
)
def test_far_scenes_have_coarser_positions(furthest: float, bits: int, tmp_path: Path) -> None:
    scene = _scene(0)
    scene = replace(scene, means=scene.means / scene.means.abs().max() * furthest)
    assert spz.fraction_bits(scene.means) == min(bits, 20)
    spz.save_spz(tmp_path / "scene.spz", scene)
    read = gsply.read_spz(tmp_path / "scene.spz").means
    assert np.abs(read - scene.means.numpy()).max() <= 0.5001 * 2.0**-bits


def test_the_header_by_hand(tmp_path: Path) -> None:
    scene = _scene(2)
    spz.save_spz(tmp_path / "scene.spz", scene)
    body = gzip.decompress((tmp_path / "scene.spz").read_bytes())
    n = len(scene.means)
    assert body[:16] == b"NGSP\x03\0\0\0" + n.to_bytes(4, "little") + bytes([2, 20, 0, 0])
    assert len(body) == 16 + n * (9 + 1 + 3 + 3 + 4 + 8 * 3)
