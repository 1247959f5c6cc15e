"""The rig made from a FLAME file: the same vertices as an independent implementation, and teeth."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.rig import HeadRig, Landmarks
from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK
from pipeline.detect.landmarks import LEFT_IRIS, RIGHT_IRIS
from pipeline.rigs import detector_response
from pipeline.rigs.__main__ import main
from pipeline.rigs.flame import bake, source
from pipeline.track.solve import stages
from tests import flames


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> tuple[HeadRig, np.ndarray]:
    return bake.bake(flames.save_pickle(tmp_path_factory.mktemp("flame") / "flame.pkl"))


@pytest.fixture(scope="module")
def rig(baked: tuple[HeadRig, np.ndarray]) -> HeadRig:
    return baked[0]


def moves(rig: HeadRig, batch: int = 4) -> dict[str, torch.Tensor]:
    """Random identities, expressions and poses, large ones."""
    generator = torch.Generator().manual_seed(3)

    def normal(size: int, deviation: float) -> torch.Tensor:
        return deviation * torch.randn(batch, size, generator=generator)

    return {
        "shape": normal(rig.num_shape, 1.0), "expr": normal(rig.num_expr, 1.0),
        "rotation": normal(3, 0.8), "neck_pose": normal(3, 0.4), "jaw_pose": normal(3, 0.3),
        "eyes_pose": normal(6, 0.3), "translation": normal(3, 0.5),
    }  # fmt: skip


def test_vertices_are_those_of_smplx(rig: HeadRig, tmp_path: Path):
    """To 1e-5 m, by the package `smplx`: the order of joints, directions and pose features."""
    smplx = pytest.importorskip(
        "smplx", reason="needs the test extra: pip install --no-deps smplx==0.1.28"
    )
    path = tmp_path / "FLAME_NEUTRAL.npz"
    flames.save_npz(path, kintree_table=np.array([[-1, 0, 1, 1, 1], range(5)]))
    landmark = {"lmk_face_idx": np.array([0]), "lmk_b_coords": np.array([[1.0, 0, 0]])}
    (tmp_path / "flame_static_embedding.pkl").write_bytes(pickle.dumps(landmark))
    batch = 4
    model = smplx.FLAME(
        str(tmp_path), ext="npz", num_betas=300, num_expression_coeffs=100, batch_size=batch
    )
    given = moves(rig, batch)
    with torch.no_grad():
        expected = model(
            betas=given["shape"], expression=given["expr"], global_orient=given["rotation"],
            neck_pose=given["neck_pose"], jaw_pose=given["jaw_pose"],
            leye_pose=given["eyes_pose"][:, :3], reye_pose=given["eyes_pose"][:, 3:],
            transl=given["translation"],
        ).vertices  # fmt: skip
        got = rig(**given)
    assert got.shape == (batch, 5143, 3)
    torch.testing.assert_close(got[:, :5023], expected, atol=1e-5, rtol=0)


def test_vertices_are_those_of_the_formula(rig: HeadRig):
    """Li et al. 2017, eq. 2-5, joint by joint in float64, joints regressed from the whole face."""
    given = {name: value[0].double().numpy() for name, value in moves(rig).items()}
    expected = given.pop("translation") + flames.vertices(**given)
    with torch.no_grad():
        got = rig(**moves(rig))[0, :5023]
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


def test_counts_joints_and_names(rig: HeadRig):
    assert (rig.num_verts, len(rig.faces)) == (5143, 10144)
    assert (rig.num_shape, rig.num_expr) == (300, 100)
    assert rig.parents.tolist() == [-1, 0, 1, 1, 1]
    assert rig.principal_expr
    left, right = rig.joint_template[[EYE_L, EYE_R]]
    assert left[0] > 0 > right[0]
    np.testing.assert_array_equal(rig.faces[:9976], flames.flame_arrays()["f"])


def test_teeth_are_rigid_and_without_expressions(rig: HeadRig):
    upper, lower = torch.arange(5023, 5083), torch.arange(5083, 5143)
    assert (rig.skin_weights[upper, NECK] == 1).all()
    assert (rig.skin_weights[lower, JAW] == 1).all()
    assert not rig.exprdirs[5023:].any()
    assert not rig.posedirs[5023:].any()
    assert rig.shapedirs[5023:].abs().max() > 0
    given = moves(rig) | {"shape": torch.zeros(4, 300)}
    with torch.no_grad():
        posed = rig(**given)
    for rows in (upper, lower):
        rest, there = rig.v_template[rows], posed[:, rows]
        before = (rest[:, None] - rest).norm(dim=-1).expand(4, 60, 60)
        after = (there[:, :, None] - there[:, None]).norm(dim=-1)
        torch.testing.assert_close(after, before, atol=1e-6, rtol=0)


def test_teeth_lie_between_the_lips_and_meet(rig: HeadRig):
    mouth = rig.v_template[rig.masks["mouth"]]
    for rows in (slice(5023, 5083), slice(5083, 5143)):
        teeth = rig.v_template[rows]
        assert teeth[:, 2].max() < mouth[:, 2].max()
        assert mouth[:, 0].min() - 1e-3 < teeth[:, 0].min()
        assert abs(float(teeth[:, 0].mean())) < 1e-3
        assert mouth[:, 1].min() < teeth[:, 1].mean() < mouth[:, 1].max()


def test_regions_are_makehumans(rig: HeadRig):
    """The generated head is MakeHuman's: nine vertices of ten are in the region they come from."""
    masks = rig.masks
    for one, other in (("face", "scalp"), ("face", "neck"), ("scalp", "ears"), ("skin", "teeth")):
        assert not (masks[one] & masks[other]).any()
    assert masks["teeth"].sum() == 120
    assert masks["eyeballs"].sum() == 2 * flames.BALL
    assert (rig.skin_weights[masks["eyeballs"]][:, [EYE_L, EYE_R]].sum(1) == 1).all()
    face, scalp, neck = (rig.v_template[masks[name]] for name in ("face", "scalp", "neck"))
    assert face[:, 2].mean() > scalp[:, 2].mean() + 0.05
    assert scalp[:, 1].mean() > face[:, 1].mean() + 0.03 > neck[:, 1].mean() + 0.06
    ears = rig.v_template[masks["ears"]]
    assert ears[:, 0].abs().min() > 0.05
    assert 0.13 < rig.head_radius < 0.18


def test_texture_coordinates_do_not_tear(rig: HeadRig):
    assert 0 <= float(rig.uv.min()) <= float(rig.uv.max()) <= 1
    assert rig.uv_faces.shape == rig.faces.shape
    spans = rig.uv[rig.uv_faces]
    skin = rig.masks["skin"][rig.faces[:, 0]]
    wide = (spans[..., 0].max(1).values - spans[..., 0].min(1).values)[skin] > 0.3
    assert wide.float().mean() < 0.01, "only about the crown"


def test_the_file_is_on_record_and_versions_differ(rig: HeadRig, tmp_path: Path):
    path = flames.save_npz(
        tmp_path / "other.npz", shapedirs=1.01 * flames.flame_arrays()["shapedirs"]
    )
    other, _ = bake.bake(path)
    assert other.source_sha256 == source.load(path).sha256 != rig.source_sha256
    assert other.sha256 != rig.sha256
    size = 1 + rig.num_shape + rig.num_expr + 9
    marks = Landmarks(
        torch.tensor([4]), torch.tensor([0]), torch.full((1, 3), 1 / 3),
        torch.ones(1), torch.zeros(1, 3, size),
    )  # fmt: skip
    names, about = rig.expr_names, rig.source_sha256
    HeadRig("flame", rig.tensors(), names, rig.masks, marks, about).save(tmp_path / "rig.npz")
    assert HeadRig.load(tmp_path / "rig.npz").source_sha256 == rig.source_sha256


def test_the_tracker_lets_directions_go_either_way(rig: HeadRig):
    low, high = stages.bounds(rig)
    assert (low[9:] == -high[9:]).all()
    assert stages.blinks(rig) is None
    assert (stages.ease(rig) == stages.PRINCIPAL_EASE).all()


def test_a_painted_face(baked: tuple[HeadRig, np.ndarray]):
    """Irises are darker than the white around them, on the front of either eyeball."""
    rig, texture = baked
    size = len(texture)
    for side, joint in ((0, EYE_L), (1, EYE_R)):
        ball = torch.nonzero(rig.skin_weights[:, joint] == 1)[:, 0]
        arms = rig.v_template[ball] - rig.joint_template[joint]
        forward = arms[:, 2] / arms.norm(dim=1)
        for chosen, dark in ((forward > 0.99, True), ((forward > 0.5) & (forward < 0.8), False)):
            u, v = rig.uv[ball[chosen]].numpy().T
            colors = texture[((1 - v) * size).astype(int), (u * size).astype(int)]
            assert (colors.mean() < 140) == dark, side


def test_the_stage_finds_landmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """MediaPipe's map: 33/263 outer eye corners, 61/291 mouth corners; irises on the eyeballs."""
    monkeypatch.setattr(
        detector_response, "RENDERS", 40
    )  # what is learnt from them is not looked at here
    path, out = flames.save_pickle(tmp_path / "flame.pkl"), tmp_path / "rig.npz"
    assert main(["--name", "flame", "--flame", str(path), "--out", str(out)]) == 0
    rig = HeadRig.load(out)
    assert rig.landmarks is not None
    assert len(rig.landmarks.ids) > 300
    assert float(rig.landmarks.spread.median()) < 0.003
    where = rig.landmarks.points(rig.v_template, rig.faces).numpy()
    at = dict(zip(rig.landmarks.ids.tolist(), where, strict=True))
    left, right = rig.joint_template[[EYE_L, EYE_R]].numpy()
    assert at[263][0] > left[0] + 0.008
    assert at[33][0] < right[0] - 0.008
    assert 0.04 < at[291][0] - at[61][0] < 0.07
    for iris, eye in ((RIGHT_IRIS, right), (LEFT_IRIS, left)):
        assert np.hypot(*(at[iris] - eye)[:2]) < 0.004
