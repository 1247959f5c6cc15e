from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.cameras import Cameras
from avatar.dataset import AlphaStore
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig, RigParams
from pipeline.track import silhouette
from pipeline.track.silhouette import Rim
from tests.rigs import toy_rig
from tests.unit.pipeline.track.capture import SIZE, cameras, write_store


def _disc(radius: float, size: int = 64) -> np.ndarray:
    """Alpha of a disc in the middle of an image, its edge half a pixel soft."""
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.hypot(x - size / 2, y - size / 2)
    return (255 * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize(("radius", "reach", "expected"), [
    (20.0, 8.0, 3.0), (15.0, 8.0, -2.0), (27.0, 8.0, np.nan), (20.0, 2.0, np.nan),
])  # fmt: skip
def test_edge_distance_from_a_circle(radius: float, reach: float, expected: float) -> None:
    angles = np.arange(8) * np.pi / 4
    across = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = 32 + 17 * across
    got = silhouette.edge_distance(_disc(radius), points, across, np.full(8, reach))
    assert got == pytest.approx(np.full(8, expected), abs=0.15, nan_ok=True)


def test_edge_distance_is_unknown_where_the_way_leaves_the_image() -> None:
    points, across = np.array([[60.0, 32]]), np.array([[1.0, 0]])
    got = silhouette.edge_distance(_disc(27.0), points, across, np.array([8.0]))
    assert np.isnan(got).all()


def _alphas(folder: Path, rig: HeadRig, params: RigParams, rigged: Cameras) -> AlphaStore:
    """The alpha of a mesh at one timestep."""
    verts = rig(**params.poses(torch.tensor([0])))[0].detach().numpy().astype(float)
    drawn = [
        rasterize_mesh(verts, rig.faces.numpy(), view, K, SIZE, SIZE)[0] >= 0
        for view, K in zip(rigged.viewmats, rigged.Ks, strict=True)
    ]
    alphas = [(255 * mask).astype(np.uint8) for mask in drawn]
    write_store(folder / "alpha.h5", alphas, cams=len(rigged), timesteps=1)
    return AlphaStore(folder / "alpha.h5")


@pytest.fixture
def rig() -> HeadRig:
    """Bare all over, so that outlines count both ways."""
    rig = toy_rig()
    rig.masks["face"] = rig.masks["skin"] & ~rig.masks["neck"]
    return rig


@pytest.fixture
def rigged() -> Cameras:
    Ks, viewmats = cameras(2)
    return Cameras(["0", "1"], Ks, viewmats, np.full((2, 2), SIZE), np.zeros((2, 5)), np.zeros(2))


def _params(rig: HeadRig, shape: list[float]) -> RigParams:
    zero = torch.zeros(1, 3)
    return RigParams(
        torch.tensor(shape), torch.zeros(rig.num_verts, 3), torch.zeros(1, 4),
        torch.tensor([[0.05, 0.2, 0.0]]), zero, zero, torch.zeros(1, 6), zero, np.array(["main"]),
        np.array([0]), np.array([0.0]), np.array([True]), "toy", rig.sha256,
    )  # fmt: skip


def test_a_fitting_mesh_asks_for_nothing(rig: HeadRig, rigged: Cameras, tmp_path: Path) -> None:
    params = _params(rig, [0.0, 0, 0])
    rim = silhouette.measure(
        rig, params, rigged, _alphas(tmp_path, rig, params, rigged), np.arange(2)
    )
    assert len(rim.vertices) > 10
    assert np.abs(rim.distances).max() < 0.002  # a pixel is 1.5 mm
    assert not (rig.masks["neck"] | rig.masks["eyeballs"]).numpy()[rim.vertices].any()


def test_the_outline_tells_the_shape(rig: HeadRig, rigged: Cameras, tmp_path: Path) -> None:
    """A head 5 % wider: the first coefficient, and the outlines' cost is least there."""
    alphas = _alphas(tmp_path, rig, _params(rig, [1.0, 0, 0]), rigged)
    rim = silhouette.measure(rig, _params(rig, [0.0, 0, 0]), rigged, alphas, np.arange(2))
    hint = silhouette.shape_hint(rig, rim, np.zeros(3))
    best = -np.linalg.solve(hint.hessian + 1e-3 * np.eye(3), hint.gradient)
    assert best == pytest.approx([1, 0, 0], abs=0.4)


def test_hair_may_be_outside_but_the_head_not(rig: HeadRig) -> None:
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])  # hair everywhere
    rim = Rim(np.array([3, 4]), np.array([[1.0, 0, 0], [1, 0, 0]]), np.array([0.004, -0.004]))
    hint = silhouette.shape_hint(rig, rim, np.zeros(3))
    inner = silhouette.shape_hint(
        rig, Rim(rim.vertices[1:], rim.directions[1:], rim.distances[1:]), np.zeros(3)
    )
    assert hint.gradient == pytest.approx(inner.gradient)
    assert np.abs(hint.gradient).max() > 0


def test_static_offset_meets_the_outline_smoothly_and_spares_lids_and_lips(rig: HeadRig) -> None:
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])
    rig.masks["mouth"] = rig.masks["mouth"] | rig.masks["eyes"]
    verts = rig.v_template.numpy().astype(float)
    back = np.flatnonzero((rig.masks["skin"] & ~rig.masks["neck"]).numpy() & (verts[:, 2] < 0))
    out = verts[back] / np.linalg.norm(verts[back], axis=1, keepdims=True)
    rim = Rim(np.repeat(back, 2), np.repeat(out, 2, 0), np.full(2 * len(back), -0.003))
    offset = silhouette.static_offset(rig, rim)
    assert (offset[back] * out).sum(1).mean() == pytest.approx(-0.003, abs=0.001)
    still = (rig.masks["mouth"] | rig.masks["eyeballs"] | rig.masks["neck"]).numpy()
    assert np.abs(offset[still]).max() < 2e-4


def test_hair_that_stands_off_in_one_frame_pulls_nothing(rig: HeadRig) -> None:
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])
    vertex = int(np.flatnonzero((rig.masks["scalp"]).numpy())[0])
    distances = np.array([0.001, 0.001, 0.02, 0.02])
    rim = Rim(np.full(4, vertex), np.tile([[0.0, 1, 0]], (4, 1)), distances)
    offset = silhouette.static_offset(rig, rim)
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
    offset = silhouette.static_offset(rig, Rim(vertices, out, distances))
    assert low < (offset[vertices] * out).sum(1)[ear[vertices]].mean() < high


def test_overlap_of_a_mesh_with_its_own_alpha_and_with_a_wider_one(
    rig: HeadRig, rigged: Cameras, tmp_path: Path
) -> None:
    params = _params(rig, [0.0, 0, 0])
    alphas = _alphas(tmp_path, rig, params, rigged)
    rows = np.arange(2)
    assert silhouette.overlap(rig, params, rigged, alphas, rows, "head") == 1
    wider = _params(rig, [2.0, 0, 0])  # 10 % wider: less than 1 / 1.1 in common, all else equal
    ratio = silhouette.overlap(rig, wider, rigged, alphas, rows, "head")
    assert ratio == pytest.approx(1 / 1.1, abs=0.03)


def test_rows_are_spread_over_time_and_cameras(tmp_path: Path) -> None:
    write_store(tmp_path / "alpha.h5", [np.zeros((2, 2), np.uint8)] * 400, cams=2, timesteps=200)
    valid = np.arange(200) >= 100
    with AlphaStore(tmp_path / "alpha.h5") as alphas:
        rows = silhouette.choose_rows(alphas, valid)
        assert len(rows) == silhouette.ROWS
        assert np.bincount(alphas.camera[rows]).tolist() == [48, 48]
        assert alphas.timestep[rows].min() == 100
        assert alphas.timestep[rows].max() == 199


def test_offsets_of_a_rig_are_in_its_rest_pose(
    rig: HeadRig, rigged: Cameras, tmp_path: Path
) -> None:
    """The head is turned in the frame; the direction must have turned back with it."""
    params = _params(rig, [0.0, 0, 0])
    alphas = _alphas(tmp_path, rig, replace(params, shape=torch.tensor([1.0, 0, 0])), rigged)
    rim = silhouette.measure(rig, params, rigged, alphas, np.arange(2))
    move = (rig.shapedirs.numpy()[rim.vertices, :, 0] * rim.directions).sum(1)
    assert np.corrcoef(move, rim.distances)[0, 1] > 0.8
