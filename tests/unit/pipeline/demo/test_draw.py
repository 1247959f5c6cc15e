import numpy as np
import pytest

from pipeline.demo import draw as module
from pipeline.demo.hair import Hair
from pipeline.demo.person import HAIR, SKIN, Person
from tests.rigs import toy_rig

SIZE = (16, 12)
K = np.array([[16.0, 0, 8], [0, 16, 6], [0, 0, 1]])
VIEWMAT = np.diag([1.0, -1, -1, 1])  # a camera at the origin that looks along -z, y up
VERTS = np.array([[-2.0, -2, -1], [0, -2, -1], [0, 2, -1], [-2, 2, -1]])
NORMALS = np.tile([0.0, 0, 1], (4, 1))


def square(material: int = SKIN, texel: int = 128, ambient: float = 1.0) -> Person:
    """A square one metre before the camera, over the left half of its image."""
    none = np.zeros((0, 3))
    return Person(
        rig=toy_rig(), strands=Hair(none, none.astype(int), none, none),
        faces=np.array([[0, 1, 2], [0, 2, 3]]), uv=np.full((2, 3, 2), 0.5),
        texture=np.full((4, 4, 3), texel, np.uint8), material=np.full(2, material),
        colors=np.full((4, 3), 0.5), ambient=np.full(4, ambient),
    )  # fmt: skip


def draw(person: Person) -> tuple[np.ndarray, np.ndarray]:
    return module.draw(person, VERTS, NORMALS, VIEWMAT, K, SIZE)


def test_coverage_and_colour_end_with_the_surface() -> None:
    rgb, alpha = draw(square())
    assert rgb.shape == (12, 16, 3)
    assert (alpha[:, :8] == 1).all()
    assert (alpha[:, 8:] == 0).all()
    assert (rgb[:, 8:] == 0).all()


def test_diffuse_light_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GLOSS", np.zeros((4, 2)))
    # Wrapped diffuse of both lights on a normal along z, and half sky, half ground.
    light = sum(
        (direction[2] + 0.3) / 1.3 * np.array(color)
        for direction, color in ((module.KEY, module.KEY_COLOR), (module.FILL, module.FILL_COLOR))
    )
    light = light + (np.array(module.SKY_COLOR) + np.array(module.GROUND_COLOR)) / 2
    expected = ((128 / 255) ** module.GAMMA * light) ** (1 / module.GAMMA)
    rgb, _ = draw(square())
    np.testing.assert_allclose(rgb[5, 3], expected, atol=1e-3)


def test_occluded_places_are_darker() -> None:
    assert draw(square(ambient=0.1))[0][5, 3].max() < 0.6 * draw(square())[0][5, 3].min()


def test_hair_has_the_colour_of_its_vertices_not_the_textures() -> None:
    dark, light = (draw(square(HAIR, texel))[0] for texel in (10, 250))
    np.testing.assert_array_equal(dark, light)
    assert draw(square(SKIN, 10))[0].max() < draw(square(SKIN, 250))[0].max()
