from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore
from avatar.rig import HeadRig
from pipeline.track.outline import silhouette
from pipeline.track.outline.silhouette import Rim
from tests.unit.pipeline.track.capture import write_store
from tests.unit.pipeline.track.outlines import alphas_of, bare_rig, still, toy_cameras


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


@pytest.fixture
def rig() -> HeadRig:
    return bare_rig()


@pytest.fixture
def rigged() -> Cameras:
    return toy_cameras(2)


def test_a_fitting_mesh_asks_for_nothing(rig: HeadRig, rigged: Cameras, tmp_path: Path) -> None:
    params = still(rig, [0.0, 0, 0])
    rim = silhouette.measure(
        rig, params, rigged, alphas_of(tmp_path, rig, params, rigged), np.arange(2)
    )
    assert len(rim.vertices) > 10
    assert np.abs(rim.distances).max() < 0.002  # a pixel is 1.5 mm
    assert not rig.masks["eyeballs"].numpy()[rim.vertices].any()
    neck = rig.masks["neck"].numpy()
    assert neck[rim.vertices].any()
    assert neck[rim.on(neck).vertices].all()


def test_the_outline_tells_the_shape(rig: HeadRig, rigged: Cameras, tmp_path: Path) -> None:
    """A head 5 % wider: the first coefficient, and the outlines' cost is least there."""
    alphas = alphas_of(tmp_path, rig, still(rig, [1.0, 0, 0]), rigged)
    rim = silhouette.measure(rig, still(rig, [0.0, 0, 0]), rigged, alphas, np.arange(2))
    rim = rim.on(~rig.masks["neck"].numpy())
    hint = silhouette.shape_prior(rig, rim, np.zeros(3))
    best = -np.linalg.solve(hint.hessian + 1e-3 * np.eye(3), hint.gradient)
    assert best == pytest.approx([1, 0, 0], abs=0.4)


def test_hair_may_be_outside_but_the_head_not(rig: HeadRig) -> None:
    rig.masks["face"] = torch.zeros_like(rig.masks["face"])  # hair everywhere
    rim = Rim(
        np.array([3, 4]), np.array([[1.0, 0, 0], [1, 0, 0]]), np.array([0.004, -0.004]),
        np.zeros(2, int),
    )  # fmt: skip
    hint = silhouette.shape_prior(rig, rim, np.zeros(3))
    inner = silhouette.shape_prior(rig, rim.on(np.arange(rig.num_verts) == 4), np.zeros(3))
    assert hint.gradient == pytest.approx(inner.gradient)
    assert np.abs(hint.gradient).max() > 0


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
    params = still(rig, [0.0, 0, 0])
    alphas = alphas_of(tmp_path, rig, replace(params, shape=torch.tensor([1.0, 0, 0])), rigged)
    rim = silhouette.measure(rig, params, rigged, alphas, np.arange(2))
    move = (rig.shapedirs.numpy()[rim.vertices, :, 0] * rim.directions).sum(1)
    assert np.corrcoef(move, rim.distances)[0, 1] > 0.8


def test_edges_do_not_depend_on_the_offset_that_they_are_measured_with(
    rig: HeadRig, rigged: Cameras, tmp_path: Path
) -> None:
    params = still(rig, [0.0, 0, 0])
    alphas = alphas_of(tmp_path, rig, replace(params, shape=torch.tensor([1.0, 0, 0])), rigged)
    offset = 0.5 * rig.shapedirs[:, :, 0]
    plain = silhouette.measure(rig, params, rigged, alphas, np.arange(2))
    moved = silhouette.measure(
        rig, replace(params, static_offset=offset), rigged, alphas, np.arange(2)
    )

    def means(rim: Rim) -> np.ndarray:
        total, count = (
            np.bincount(rim.vertices, weights, rig.num_verts) for weights in (rim.distances, None)
        )
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    expected, remaining = means(plain), means(moved)
    got = means(moved.without(offset.numpy()))
    both = np.isfinite(expected) & np.isfinite(got)
    assert np.abs(remaining[both]).mean() < 0.7 * np.abs(expected[both]).mean()
    assert np.abs(got[both] - expected[both]).mean() < 0.15 * np.abs(expected[both]).mean()
