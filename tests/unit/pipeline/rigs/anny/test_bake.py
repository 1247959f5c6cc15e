import numpy as np
import pytest
import torch

from avatar.rig import HeadRig, arkit
from avatar.rig.head_rig import EYE_L, EYE_R, JAW
from pipeline.rigs.anny import bake as anny_bake
from pipeline.rigs.anny import head as anny_head
from pipeline.rigs.anny import identity
from pipeline.rigs.landmark_embedding import pose


def moved(rig: HeadRig, **strengths: float) -> torch.Tensor:
    """Displacement (m) of the mean head under ARKit actions."""
    still = torch.zeros(rig.num_shape)
    return torch.from_numpy(pose(rig, strengths, still)) - rig.v_template


def test_sizes_and_names(anny_rig: HeadRig):
    assert 4500 < anny_rig.num_verts < 6000
    assert anny_rig.num_shape == anny_bake.SHAPES
    assert tuple(anny_rig.expr_names) == arkit.EXPR_NAMES
    assert anny_rig.parents.tolist() == [-1, 0, 1, 1, 1]
    assert anny_rig.faces.shape == anny_rig.uv_faces.shape
    assert float(anny_rig.uv.min()) >= 0
    assert float(anny_rig.uv.max()) <= 1


def test_metres_and_axes(anny_rig: HeadRig):
    """A head about 23 cm high, y up, z from the face, x to the subject's left."""
    head = anny_rig.v_template[~anny_rig.masks["neck"]]
    width, height, depth = (head.max(0).values - head.min(0).values).tolist()
    assert 0.13 < width < 0.20
    assert 0.20 < height < 0.26
    assert 0.18 < depth < 0.25
    left, right = anny_rig.joint_template[[EYE_L, EYE_R]]
    assert 0.055 < float(left[0] - right[0]) < 0.070
    face, scalp = (anny_rig.v_template[anny_rig.masks[m]].mean(0) for m in ("face", "scalp"))
    assert face[2] > scalp[2] + 0.05
    assert scalp[1] > face[1] + 0.03
    assert anny_rig.v_template[anny_rig.masks["neck"]].mean(0)[1] < face[1]


def test_weights_are_shares(anny_rig: HeadRig):
    weights = anny_rig.skin_weights
    assert float(weights.min()) >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(anny_rig.num_verts))
    bust = anny_rig.v_template[:, 1] < anny_rig.v_template[:, 1].min() + 0.02
    torch.testing.assert_close(weights[bust, 0], torch.ones(int(bust.sum())))


def test_masks_are_what_they_say(anny_rig: HeadRig):
    masks = anny_rig.masks
    for one, other in (("face", "scalp"), ("face", "neck"), ("scalp", "ears"), ("skin", "teeth")):
        assert not (masks[one] & masks[other]).any(), (one, other)
    for name in ("face", "eyes", "mouth", "neck", "scalp", "eyeballs", "teeth", "tongue"):
        assert masks[name].sum() > 50, name
    assert (masks["mouth"] & masks["skin"]).sum() == masks["mouth"].sum()
    assert (anny_rig.skin_weights[masks["eyeballs"]][:, [EYE_L, EYE_R]].sum(1) == 1).all()


def test_faces_look_outwards(anny_rig: HeadRig):
    """The signed volume of an eyeball, a closed surface, is that of its sphere."""
    verts = anny_rig.v_template - anny_rig.joint_template[EYE_L]
    ball = anny_rig.skin_weights[:, EYE_L] == 1
    corners = verts[anny_rig.faces[ball[anny_rig.faces].all(1)]].double()
    volume = torch.linalg.det(corners).sum() / 6
    radius = verts[ball].norm(dim=1).mean().double()
    assert float(volume / (4 / 3 * np.pi * radius**3)) == pytest.approx(1.0, abs=0.15)


def test_eyeballs_turn_about_their_centres(anny_rig: HeadRig):
    verts = anny_rig.v_template + moved(anny_rig, eyeLookOutLeft=1.0, eyeLookInRight=1.0)
    for joint in (EYE_L, EYE_R):
        ball = anny_rig.skin_weights[:, joint] == 1
        before, after = (
            (v[ball] - anny_rig.joint_template[joint]).norm(dim=1)
            for v in (anny_rig.v_template, verts)
        )
        torch.testing.assert_close(before, after, atol=1e-6, rtol=0)
        assert float(before.std() / before.mean()) < 0.02, "a ball"
        assert float((verts - anny_rig.v_template)[ball][:, 0].mean()) == pytest.approx(0, abs=1e-3)
    left = anny_rig.skin_weights[:, EYE_L] == 1
    pupil = anny_rig.v_template[left][:, 2].argmax()
    assert moved(anny_rig, eyeLookOutLeft=1.0)[left][pupil, 0] > 0.004, "to the subject's left"


def test_an_open_jaw_is_makehumans_jaw_open(anny_rig: HeadRig):
    """Skinning plus its corrective reproduce the sculpted action to a tenth of its 39 mm.

    The rest is that the action was sculpted on a smaller head than the mean one."""
    head = anny_head.load_head()
    sculpted = torch.from_numpy(head.base.action("jawOpen")[head.index]).float()
    difference = (moved(anny_rig, jawOpen=1.0) - sculpted).norm(dim=1)
    assert float(sculpted.norm(dim=1).max()) > 0.03
    assert float(difference.quantile(0.95)) < 0.004
    assert float(moved(anny_rig, jawOpen=1.0)[anny_rig.skin_weights[:, JAW].argmax(), 1]) < -0.005


def test_expressions_are_makehumans_face_units(anny_rig: HeadRig):
    head = anny_head.load_head()
    smile = torch.from_numpy(head.base.action("mouthSmileLeft")[head.index]).float()
    column = anny_rig.exprdirs[:, :, arkit.EXPR_NAMES.index("mouthSmileLeft")]
    torch.testing.assert_close(column, smile)
    eyeballs = anny_rig.masks["eyeballs"]
    assert not anny_rig.exprdirs[eyeballs].any()


def test_the_basis_holds_unseen_faces(anny_rig: HeadRig):
    """A head sampled anew is within a millimetre of the basis, and its coefficients are about 1."""
    head, basis = anny_head.load_head(), identity.identity_basis()
    fixed = (anny_rig.masks["skin"] & ~anny_rig.masks["neck"]).numpy()
    template = anny_rig.v_template.double().numpy()
    directions = anny_rig.shapedirs[fixed].flatten(0, 1).double().numpy()
    rng, errors, coefficients = np.random.default_rng(77), [], []
    for _ in range(4):
        verts = basis.verts(identity.sample_identity(basis.pairs, rng))[head.index]
        turn, shift = anny_head.rigid_align(verts[fixed], template[fixed])
        offset = (verts @ turn.T + shift - template)[fixed].ravel()
        shape, *_ = np.linalg.lstsq(directions, offset, rcond=None)
        rest = (offset - directions @ shape).reshape(-1, 3)
        errors.append((np.linalg.norm(offset.reshape(-1, 3), axis=1).mean(),
                       np.linalg.norm(rest, axis=1).mean()))  # fmt: skip
        coefficients.append(shape)
    before, after = np.mean(errors, 0)
    assert before > 0.003
    assert after < 0.001
    assert 0.7 < np.std(coefficients) < 1.4


def test_joints_follow_the_shape(anny_rig: HeadRig):
    """The eye joint stays the centre of the eyeball whatever the identity."""
    shape = torch.zeros(anny_rig.num_shape)
    shape[:8] = torch.tensor([1.5, -1.0, 1.0, -1.5, 1.0, 1.0, -1.0, 0.5])
    joint = anny_rig.joints(shape)[EYE_L]
    verts = anny_rig.rest(shape, torch.zeros(anny_rig.num_expr))
    ball = verts[anny_rig.skin_weights[:, EYE_L] == 1]
    assert float((joint - anny_rig.joint_template[EYE_L]).norm()) > 1e-4
    torch.testing.assert_close(ball.mean(0), joint, atol=0.002, rtol=0)


def test_baking_again_gives_the_same_rig(anny_rig: HeadRig):
    again, _ = anny_bake.bake()
    assert again.sha256 != anny_rig.sha256, "it has no landmarks yet"
    again = HeadRig(again.name, again.tensors(), again.expr_names, again.masks, anny_rig.landmarks)
    assert again.sha256 == anny_rig.sha256
