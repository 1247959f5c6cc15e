import numpy as np
import pytest

from pipeline.demo import hair
from tests.rigs import uv_sphere

RADIUS = 0.1  # m


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray, hair.Hair]:
    """Hair on the upper half of a sphere, but for a bald spot."""
    verts, faces, _ = uv_sphere(16, 24)
    verts = verts * RADIUS
    bare = verts[:, 0] > 0.8 * RADIUS
    return verts, faces, hair.grow(verts, faces, verts[:, 1], bare)


def test_hair_grows_above_the_line_and_outside_the_skin(head) -> None:
    _, _, grown = head
    used = grown.verts[np.unique(grown.faces)]
    longest = 1.3 * hair.SEGMENTS * hair.STEP
    assert used[:, 1].min() > -longest, "strands hang below the line by their length at most"
    radius = np.linalg.norm(used, axis=1)
    assert radius.min() > 0.98 * RADIUS
    assert radius.max() < RADIUS + hair.THICKNESS + hair.LUMPS + 0.012


def test_nothing_grows_where_the_head_is_bare(head) -> None:
    _, faces, grown = head
    cap = grown.faces[: len(grown.faces) - 2 * hair.SEGMENTS * hair.STRANDS]
    assert grown.verts[np.unique(cap), 0].max() < 0.95 * RADIUS
    assert len(cap) < 16 * len(faces) / 2


def test_directions_are_unit_and_lie_in_the_surface(head) -> None:
    _, _, grown = head
    used = np.unique(grown.faces)
    np.testing.assert_allclose(np.linalg.norm(grown.tangents[used], axis=1), 1, atol=1e-6)
    outwards = grown.verts[used] / np.linalg.norm(grown.verts[used], axis=1, keepdims=True)
    assert np.abs((outwards * grown.tangents[used]).sum(1)).mean() < 0.25


def test_subdividing_a_flat_triangle_by_hand() -> None:
    verts = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
    normals = np.tile([0.0, 0, 1], (3, 1))
    new, _, values, faces = hair._subdivide(
        verts, normals, np.array([0.0, 2, 4]), np.array([[0, 1, 2]])
    )
    middles = {tuple(row) for row in new[3:].tolist()}
    assert middles == {(1, 0, 0), (0, 1, 0), (1, 1, 0)}, "flat: midpoints are not lifted"
    assert sorted(values[3:].tolist()) == [1, 2, 3]
    assert len(faces) == 4
    a, b, c = (new[faces[:, k]] for k in range(3))
    np.testing.assert_allclose(np.cross(b - a, c - a)[:, 2] / 2, 0.5)


def test_the_border_of_two_triangles() -> None:
    assert hair._border(np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1]])).tolist() == [1, 2, 3]
