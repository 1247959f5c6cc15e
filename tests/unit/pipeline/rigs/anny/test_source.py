from pathlib import Path

import numpy as np
import pytest

from pipeline.rigs.anny import source

OBJ = """# a comment
v 0 0 0
v 10 0 0
v 10 20 0
v 0 20 0
v 0 20 30
vt 0 0
vt 0.5 1
g body
f 1/1 2/2 3/1 4/2
g joint-x
f 2 3 4 5
g empty
"""


@pytest.fixture
def base(tmp_path: Path) -> source.BaseMesh:
    """Two faces, in decimetres and counted from one as MakeHuman has it."""
    return source._parse(tmp_path, OBJ)


def test_a_mesh_by_hand(base: source.BaseMesh) -> None:
    assert base.verts[2].tolist() == [1.0, 2.0, 0.0]
    assert base.uv.tolist() == [[0, 0], [0.5, 1]]
    assert sorted(base.groups) == ["body", "joint-x"]
    assert base.groups["body"].verts.tolist() == [[0, 1, 2, 3]]
    assert base.groups["body"].uv.tolist() == [[0, 1, 0, 1]]
    assert base.groups["joint-x"].uv.tolist() == [[0, 0, 0, 0]]


def test_a_target_moves_the_vertices_it_lists(base: source.BaseMesh) -> None:
    moved = base._displacement("# comment\n1 1.5 0 -2\n\n4 0 .5 0\n")
    expected = np.zeros((5, 3))
    expected[1], expected[4] = (0.15, 0, -0.2), (0, 0.05, 0)
    np.testing.assert_allclose(moved, expected)
    assert not base._displacement("# nothing\n").any()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"strategy": "VERTEX", "vertex_index": 4}, [0, 2, 3]),
        ({"strategy": "MEAN", "vertex_indices": [0, 1]}, [0.5, 0, 0]),
        ({"strategy": "CUBE", "cube_name": "joint-x"}, [0.5, 1.5, 0.75]),
    ],
)
def test_a_bones_head_by_hand(base: source.BaseMesh, rule: dict, expected: list[float]) -> None:
    base.__dict__["bones"] = {"neck": {"head": rule}}
    np.testing.assert_allclose(base.bone_head("neck", base.verts), expected)
    both = np.stack([base.verts, base.verts + 1])
    np.testing.assert_allclose(base.bone_head("neck", both)[1], np.add(expected, 1))


def test_the_installed_mesh_is_makehumans() -> None:
    base = source.load_base()
    assert base.verts.shape == (19158, 3)
    assert 1.5 < np.ptp(base.verts[:, 1]) < 2.0  # m, a person
    assert {source.SKIN, source.EYE_L, source.TONGUE, source.HAIR} <= set(base.groups)
    low, high = base.local_changes(("nose",))[0]
    assert low != high
    np.testing.assert_array_equal(base.target(low).shape, base.verts.shape)
    weights = sum(base.weights.values())
    assert weights.min() >= 0
