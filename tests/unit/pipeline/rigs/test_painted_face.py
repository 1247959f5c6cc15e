import numpy as np
import pytest

from pipeline.rigs import painted_face
from pipeline.rigs.anny.head import PARTS, load_head
from pipeline.rigs.painted_face import Palette, paint

PLAIN = Palette(freckles=0.0, clothed=False)


def colors(points: list[tuple[float, float, float]], part: int = 0, cavity: bool = False):
    count = len(points)
    return paint(np.array(points), np.full(count, part), np.full(count, cavity), PLAIN)


def test_features_by_hand() -> None:
    """Millimetres of MakeHuman's head: lips are redder, brows and scalp darker than the cheek."""
    cheek, lip, brow, scalp = colors(
        [(40, 690, 120), (5, 666, 150), (34, 749.6, 110), (0, 850, 60)]
    )
    assert lip[0] / lip[1] > cheek[0] / cheek[1] + 0.3
    assert brow.sum() < 0.6 * cheek.sum()
    np.testing.assert_allclose(scalp, PLAIN.scalp, atol=1e-6)


def test_an_eye_is_black_inside_coloured_and_white_outside() -> None:
    """Along +x from the middle of the left eyeball: pupil, iris, white; behind, white again."""
    pupil, iris, white, back = colors(
        [(30.8, 728.4, 130), (34.5, 728.4, 130), (39.8, 728.4, 130), (30.8, 728.4, 110)], part=1
    )
    assert pupil.max() < 0.05
    assert iris[2] > iris[0]
    assert white.min() > 0.7
    assert back.min() > 0.7


def test_parts_have_their_own_colours() -> None:
    place = [(0.0, 660.0, 100.0)]
    tongue = colors(place, PARTS.index("helper-tongue"))[0]
    teeth = colors(place, PARTS.index("helper-upper-teeth"))[0]
    cavity = colors(place, 0, cavity=True)[0]
    assert tongue[0] > 1.5 * tongue[1]
    assert teeth.min() > 0.7
    assert cavity.sum() < 0.7


def test_left_and_right_are_painted_alike_but_for_noise() -> None:
    points = np.random.default_rng(0).uniform((5, 640, 110), (60, 760, 150), (500, 3))
    both = [colors([tuple(p) for p in points * (sign, 1, 1)]) for sign in (1, -1)]
    assert np.abs(both[0] - both[1]).mean() < 0.03


def test_noise_is_smooth_of_unit_size_and_always_the_same() -> None:
    points = np.random.default_rng(0).uniform(-200, 200, (20_000, 3))
    value = painted_face.noise(points, 10.0)
    assert value.std() == pytest.approx(1, abs=0.15)
    assert value.mean() == pytest.approx(0, abs=0.1)
    assert np.abs(painted_face.noise(points + 0.1, 10.0) - value).max() < 0.25
    np.testing.assert_array_equal(value, painted_face.noise(points, 10.0))


def test_a_texture_has_no_holes_and_shows_the_surface_under_its_texels() -> None:
    head = load_head()
    image = painted_face.texture(head, 128, PLAIN)
    assert image.shape == (128, 128, 3)
    assert image.min() > 0
    face = head.faces[head.part[head.faces[:, 0]] == 0][1000]
    uv = head.uv[head.uv_faces[head.part[head.faces[:, 0]] == 0][1000]].mean(0)
    color = colors([tuple(head.verts[face].mean(0) * painted_face.MM)])[0] * 255
    texel = image[int((1 - uv[1]) * 128), int(uv[0] * 128)]
    assert np.abs(texel - color).max() < 25
