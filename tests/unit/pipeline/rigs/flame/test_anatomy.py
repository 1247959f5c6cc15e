import numpy as np
import pytest

from avatar.rig.head_rig import EYE_L, EYE_R
from pipeline.rigs.anny.head import HeadMesh
from pipeline.rigs.flame import anatomy


@pytest.fixture(scope="module")
def makehuman() -> tuple[HeadMesh, np.ndarray]:
    return anatomy._makehuman()


def test_anchors_of_makehuman_are_where_their_names_say(
    makehuman: tuple[HeadMesh, np.ndarray],
) -> None:
    head, found = makehuman
    left_eye, right_eye, left_lip, right_lip, mouth, nose, chin, brows, crown, back, left, right = (
        found
    )
    np.testing.assert_allclose(left_eye, head.joints(head.base.verts)[EYE_L])
    np.testing.assert_allclose(right_eye, head.joints(head.base.verts)[EYE_R])
    assert left_eye[0] > 0 > right_eye[0]
    assert left_lip[0] > 0.02 > -0.02 > right_lip[0]
    assert crown[1] > brows[1] > nose[1] > mouth[1] > chin[1]
    assert nose[2] > max(brows[2], chin[2])
    assert back[2] < left[2]
    assert left[0] > 0.06
    assert right[0] < -0.06
    for middle in (mouth, nose, chin, brows, crown, back):
        assert middle[0] == 0


def test_another_head_is_carried_onto_makehumans(makehuman: tuple[HeadMesh, np.ndarray]) -> None:
    """A shifted, turned and enlarged copy comes back to itself: the map is affine there."""
    head, theirs = makehuman
    angle = 0.3
    turn = 1.2 * np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    points = head.verts[::50]
    carried = anatomy.to_makehuman(points @ turn.T + 0.1, theirs @ turn.T + 0.1)
    np.testing.assert_allclose(carried, points, atol=1e-9)


def test_regions_of_makehumans_own_skin_are_its_masks(
    makehuman: tuple[HeadMesh, np.ndarray],
) -> None:
    head, _ = makehuman
    skin = np.flatnonzero(head.part == 0)[::7]
    found = anatomy.regions(head.verts[skin] + 1e-6)
    assert set(found) == set(anatomy.REGIONS)
    for name, inside in found.items():
        assert (inside == head.masks[name][skin]).mean() > 0.999, name
