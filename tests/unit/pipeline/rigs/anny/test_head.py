import numpy as np
import pytest

from pipeline.rigs.anny import head as anny_head


@pytest.fixture(scope="module")
def head() -> anny_head.HeadMesh:
    return anny_head.load_head()


def test_the_mesh_uses_all_that_it_keeps(head: anny_head.HeadMesh) -> None:
    count = len(head.index)
    assert (np.diff(head.index) > 0).all()
    assert np.unique(head.faces).tolist() == list(range(count))
    assert np.unique(head.uv_faces).tolist() == list(range(len(head.uv)))
    assert {mask.shape for mask in head.masks.values()} == {(count,)}
    for name, number in (("skin", 0), ("tongue", 3)):
        np.testing.assert_array_equal(head.masks[name], head.part == number)


def test_the_head_is_symmetric_and_so_are_its_masks(head: anny_head.HeadMesh) -> None:
    """Every vertex has a partner on the other side, of the same region."""
    key = {tuple(v): k for k, v in enumerate(np.round(head.verts, 4).tolist())}
    mirrored = np.round(head.verts * (-1, 1, 1), 4) + 0.0
    partner = [key.get(tuple(v)) for v in mirrored.tolist()]
    pairs = np.array([(k, p) for k, p in enumerate(partner) if p is not None])
    assert len(pairs) > 0.8 * len(partner)
    for name in ("face", "eyes", "mouth", "neck", "scalp"):
        mask = head.masks[name]
        assert (mask[pairs[:, 0]] == mask[pairs[:, 1]]).mean() > 0.99, name


def test_hair_grows_above_its_line_by_hand() -> None:
    """At z = 0.028 the line is 0.738 high; between 0.095 and 0.120 it rises evenly."""
    points = np.array([[0.0, 0.748, 0.028], [0.05, 0.794, 0.1075], [0.0, 0.6, -1.0]])
    np.testing.assert_allclose(anny_head.above_hairline(points), [0.010, 0.003, -0.055], atol=1e-12)


def test_triangles_of_a_quad_by_hand() -> None:
    assert anny_head.triangles(np.array([[4, 5, 6, 7]])).tolist() == [[4, 5, 6], [4, 6, 7]]


def test_rigid_align_by_hand():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turn, shift = anny_head.rigid_align(points, points @ quarter.T + [5, 6, 7])
    np.testing.assert_allclose(turn, quarter, atol=1e-12)
    np.testing.assert_allclose(shift, [5, 6, 7], atol=1e-12)
