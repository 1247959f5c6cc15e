import numpy as np
import pytest
import torch

from avatar.rig import HeadRig
from pipeline.track.outline import offsets
from pipeline.track.outline.silhouette import Rim
from tests.unit.pipeline.track.outlines import bare_rig


@pytest.fixture
def rig() -> HeadRig:
    return bare_rig()


def _rim(vertices: np.ndarray, directions: np.ndarray, distances: np.ndarray) -> Rim:
    return Rim(vertices, directions, distances, np.zeros(len(vertices), int))


def test_static_offset_meets_the_outline_smoothly_and_spares_lids_and_lips(rig: HeadRig) -> None:
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])
    rig.masks["mouth"] = rig.masks["mouth"] | rig.masks["eyes"]
    verts = rig.v_template.numpy().astype(float)
    back = np.flatnonzero((rig.masks["skin"] & ~rig.masks["neck"]).numpy() & (verts[:, 2] < 0))
    out = verts[back] / np.linalg.norm(verts[back], axis=1, keepdims=True)
    rim = _rim(np.repeat(back, 2), np.repeat(out, 2, 0), np.full(2 * len(back), -0.003))
    offset = offsets.static_offset(rig, rim)
    assert (offset[back] * out).sum(1).mean() == pytest.approx(-0.003, abs=0.001)
    still = (rig.masks["mouth"] | rig.masks["eyeballs"] | rig.masks["neck"]).numpy()
    assert not offset[still].any()


def test_hair_that_stands_off_in_one_frame_pulls_nothing(rig: HeadRig) -> None:
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])
    vertex = int(np.flatnonzero((rig.masks["scalp"]).numpy())[0])
    distances = np.array([0.001, 0.001, 0.02, 0.02])
    rim = _rim(np.full(4, vertex), np.tile([[0.0, 1, 0]], (4, 1)), distances)
    offset = offsets.static_offset(rig, rim)
    assert offset[vertex, 1] < 0.0015


@pytest.mark.parametrize(("distance", "low", "high"), [
    (0.015, -0.0002, 0.0002), (0.008, 0.0005, 0.008), (-0.008, -0.008, -0.0005),
])  # fmt: skip
def test_hair_over_an_ear_does_not_blow_it_up(
    rig: HeadRig, distance: float, low: float, high: float
) -> None:
    """The alpha meets the skin around the ear; at the ear it is far out, near, or further in."""
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])
    verts = rig.v_template.numpy().astype(float)
    ear = (rig.masks["skin"] & ~rig.masks["eyes"]).numpy() & (verts[:, 0] > 0.06)
    ear &= abs(verts[:, 1]) < 0.03
    rig.masks["ears"] = torch.from_numpy(ear)
    around = np.flatnonzero(rig.masks["scalp"].numpy() & ~ear)
    vertices = np.concatenate([np.flatnonzero(ear), around])
    out = verts[vertices] / np.linalg.norm(verts[vertices], axis=1, keepdims=True)
    distances = np.where(ear[vertices], distance, 0.0)
    offset = offsets.static_offset(rig, _rim(vertices, out, distances))
    assert low < (offset[vertices] * out).sum(1)[ear[vertices]].mean() < high


def test_the_offset_solves_its_equations(rig: HeadRig) -> None:
    """Outlines so near that none loses its say: against a dense solve of the normal equations."""
    verts = rig.v_template.numpy().astype(float)
    skin = np.flatnonzero((rig.masks["skin"] & ~rig.masks["neck"] & ~rig.masks["mouth"]).numpy())
    seen = skin[::3]
    seen = seen[~rig.masks["eyes"].numpy()[seen]]
    out = verts[seen] / np.linalg.norm(verts[seen], axis=1, keepdims=True)
    distances = 1e-6 * np.sin(np.arange(len(seen)))
    got = offsets.static_offset(rig, _rim(seen, out, distances))
    free = np.flatnonzero(~offsets._held(rig))
    neighbours = np.zeros((rig.num_verts,) * 2)
    for a, b, c in rig.faces.numpy():
        for i, j in ((a, b), (b, c), (c, a)):
            neighbours[i, j] = neighbours[j, i] = 1
    bent = np.eye(rig.num_verts) - neighbours / np.maximum(neighbours.sum(1, keepdims=True), 1)
    bent = bent[:, free]
    length = np.where(rig.masks["face"].numpy()[free], offsets.FACE, 0) + offsets.SHRINK
    matrix = np.kron(offsets.SMOOTH * bent.T @ bent + np.diag(length), np.eye(3))
    slopes = np.zeros((len(seen), len(free), 3))
    slopes[np.arange(len(seen)), np.searchsorted(free, seen)] = out
    slopes = slopes.reshape(len(seen), -1)
    expected = np.linalg.solve(matrix + slopes.T @ slopes, slopes.T @ distances).reshape(-1, 3)
    assert got[free] == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())


def test_hair_that_no_outline_passed_stands_off_like_the_hair_around_it(rig: HeadRig) -> None:
    """Outlines of a head seen from in front: hair 8 mm off at its sides; behind lies more of it."""
    verts = rig.v_template.numpy().astype(float)
    head = (rig.masks["skin"] & ~rig.masks["neck"] & ~rig.masks["eyes"]).numpy()
    rig.masks["face"] = torch.from_numpy(head & (verts[:, 2] > 0.03))
    hairy = head & ~rig.masks["face"].numpy()
    side = np.flatnonzero(hairy & (abs(verts[:, 2]) < 0.03))
    behind = hairy & (verts[:, 2] < -0.05)
    out = verts / np.linalg.norm(verts, axis=1, keepdims=True)
    offset = offsets.static_offset(rig, _rim(side, out[side], np.full(len(side), 0.008)))
    outwards = (offset * out).sum(1)
    beside = outwards[side].mean()
    assert beside > 0.003
    assert outwards[behind].mean() > 0.6 * beside
    assert outwards[behind].max() < 1.1 * outwards[side].max()
