import numpy as np

from pipeline.rigs.flame.unwrap import EYES, SIZE, STRIP, TEETH, unwrap
from tests.rigs import uv_sphere

CENTRES = np.array([[0.03, 0.02, 0.07], [-0.03, 0.02, 0.07]])
COLUMNS = 3


def head() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sphere of skin, two eyeballs, and two rows of three teeth."""
    skin, skin_faces, _ = uv_sphere(10, 16)
    ball, ball_faces, _ = uv_sphere(6, 8)
    ball = ball[:, [0, 2, 1]] * (1, -1, 1)  # poles on z
    verts = [skin * 0.1, *(ball * 0.015 + centre for centre in CENTRES), np.zeros((6, 3))]
    faces = [skin_faces, ball_faces + len(skin), ball_faces + len(skin) + len(ball)]
    part = np.repeat([0, 1, 2, 4], [len(v) for v in verts])
    return np.concatenate(verts), np.concatenate(faces), part


def test_everything_is_inside_and_parts_keep_apart() -> None:
    verts, faces, part = head()
    uv, uv_faces = unwrap(verts, faces, part, CENTRES, COLUMNS)
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert uv_faces.shape == faces.shape
    assert uv[: len(verts)][part == 0, 1].min() >= STRIP
    assert uv[: len(verts)][part != 0, 1].max() < STRIP
    left, right = (uv[: len(verts)][part == side, 0] for side in (1, 2))
    assert left.max() < right.min()


def test_the_front_is_in_the_middle_and_left_is_right_of_it() -> None:
    verts, faces, part = head()
    uv, _ = unwrap(verts, faces, part, CENTRES, COLUMNS)
    scale = max(1.0, 1 / (2 * uv[int(verts[part == 0, 2].argmax()), 0]))
    front = uv[int(verts[part == 0, 2].argmax())] * (scale, 1)
    side = uv[int(verts[part == 0, 0].argmax())] * (scale, 1)
    np.testing.assert_allclose(front[0], 0.5, atol=1e-6)
    np.testing.assert_allclose(side[0], 0.75, atol=1e-6)  # a quarter turn to the subject's left
    heights = uv[: len(verts)][part == 0, 1]
    np.testing.assert_array_equal(heights.argmax(), verts[part == 0, 1].argmax())


def test_no_face_crosses_the_seam_and_its_corners_are_where_they_were() -> None:
    verts, faces, part = head()
    uv, uv_faces = unwrap(verts, faces, part, CENTRES, COLUMNS)
    skin = part[faces[:, 0]] == 0
    on_axis = np.hypot(verts[:, 0], verts[:, 2])[faces].min(1) < 1e-9  # has no angle about it
    assert np.ptp(uv[uv_faces[skin & ~on_axis], 0], axis=1).max() < 0.5
    assert len(uv) > len(verts)
    same = uv_faces < len(verts)
    np.testing.assert_array_equal(uv_faces[same & skin[:, None]], faces[same & skin[:, None]])


def test_eyes_and_teeth_by_hand() -> None:
    """An eyeball's front pole is its disc's middle; teeth lie on a grid of their rows."""
    verts, faces, part = head()
    uv, _ = unwrap(verts, faces, part, CENTRES, COLUMNS)
    stretch = (1 - 0.02) / uv[: len(verts)][part == 4, 0].max()
    for side in (1, 2):
        ball = np.flatnonzero(part == side)
        pole = ball[verts[ball, 2].argmax()]
        expected = np.add(EYES[side - 1], SIZE / 2)
        np.testing.assert_allclose(uv[pole] * (stretch, 1), expected, atol=1e-6)
    teeth = uv[: len(verts)][part == 4].reshape(2, COLUMNS, 2)
    np.testing.assert_allclose(teeth[:, 0, 0] * stretch, TEETH[0])
    np.testing.assert_allclose(np.unique(teeth[..., 1]), [TEETH[1], TEETH[1] + SIZE])
