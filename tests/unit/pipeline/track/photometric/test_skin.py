import numpy as np
import pytest

from avatar.rig import HeadRig
from pipeline.track.photometric.skin import GAP, Skin, skin

K = np.array([[500.0, 0, 128], [0, 500, 128], [0, 0, 1]])


@pytest.fixture(scope="module")
def face(anny_rig: HeadRig) -> Skin:
    return skin(anny_rig, np.zeros(3))


def _from(yaw: float) -> np.ndarray:
    """A camera 0.6 m away, degrees to the subject's left."""
    angle = np.radians(yaw)
    back = np.array([np.sin(angle), 0, np.cos(angle)])
    right = np.array([np.cos(angle), 0, -np.sin(angle)])
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, [0, -1, 0], -back])
    viewmat[2, 3] = 0.6
    return viewmat


def test_points_are_bare_skin_of_the_face(anny_rig: HeadRig, face: Skin) -> None:
    vertices = face.points.ids
    assert anny_rig.masks["face"][vertices].all()
    assert not anny_rig.masks["eyeballs"][vertices].any()
    places = anny_rig.v_template.numpy()[vertices]
    cubes = np.floor(places / GAP).astype(int)
    assert len(np.unique(cubes, axis=0)) == len(face)
    assert (face.surface.ids[face.chosen] == vertices).all()


def test_the_model_of_the_points_is_the_rig(anny_rig: HeadRig, face: Skin) -> None:
    still = np.zeros(anny_rig.num_shape), np.zeros((1, anny_rig.num_expr)), np.zeros((1, 9))
    expected = anny_rig.v_template.numpy()[face.points.ids]
    assert np.allclose(face.points.points(*still)[0].T, expected, atol=1e-6)


def test_a_camera_sees_the_side_that_it_faces(anny_rig: HeadRig, face: Skin) -> None:
    verts = anny_rig.v_template.double().numpy()[face.surface.ids]
    normals = face.normals(verts)
    middle = verts[face.chosen].mean(0)
    left = verts[face.chosen, 0] > 0.02
    seen = {}
    for yaw in (-60, 0, 60, 180):
        viewmat = _from(yaw)
        viewmat[:3, 3] -= viewmat[:3, :3] @ middle
        depth = face.depth(verts, viewmat, K, 256, 256)
        seen[yaw] = face.visible(verts, normals, viewmat, K, depth, 2)
    assert seen[0].mean() > 0.4
    assert seen[180].mean() < 0.05  # what is turned in: nostrils, the lids' edges
    assert seen[60][left].mean() > 0.6
    assert seen[60][~left].mean() < 0.6 * seen[0][~left].mean()
    # The nose hides what lies behind it from the side.
    assert (seen[0] & ~seen[-60] & left).sum() > 50


def test_points_near_an_edge_are_left_out(anny_rig: HeadRig, face: Skin) -> None:
    verts = anny_rig.v_template.double().numpy()[face.surface.ids]
    viewmat = _from(0)
    viewmat[:3, 3] -= viewmat[:3, :3] @ verts.mean(0)
    normals, depth = face.normals(verts), face.depth(verts, viewmat, K, 256, 256)
    few, many = (face.visible(verts, normals, viewmat, K, depth, reach) for reach in (9, 1))
    assert few.sum() < many.sum()
    assert not (few & ~many).any()
