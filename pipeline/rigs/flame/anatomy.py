"""Which part of a head each vertex is: by correspondence with MakeHuman's head.

A dozen anchors that every head has (eyes, mouth, nose, chin, crown ...) are found on both meshes
by the same rules; a smooth map takes one onto the other (an RBF spline: `-r` is the biharmonic
kernel of space, Duchon 1977). In MakeHuman's frame the regions are then those of the nearest
vertex there, and a painted face fits.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

from avatar.rig.head_rig import EYE_L, EYE_R
from pipeline.rigs.anny.head import HeadMesh, load_head
from pipeline.rigs.flame.teeth import mouth_ring

REGIONS = ("face", "eyes", "mouth", "neck", "ears", "scalp", "inner_mouth")


def anchors(
    skin: Float[np.ndarray, "P 3"], eyes: Float[np.ndarray, "2 3"], ring: Float[np.ndarray, "R 3"]
) -> Float[np.ndarray, "12 3"]:
    """Points that every head has (m).

    Args:
        skin: the outer skin's vertices.
        eyes: centres of the eyeballs, left then right.
        ring: around the opening between the lips.
    """
    unit = float(np.linalg.norm(eyes[0] - eyes[1]))
    eye, mouth = eyes.mean(0), ring[np.abs(ring[:, 0]) < 0.1 * unit].mean(0)
    height = skin[:, 1]
    midline = np.abs(skin[:, 0]) < 0.15 * unit
    down = (eye[1] - height) / (eye[1] - mouth[1])  # 0 at the eyes, 1 at the mouth

    def extreme(where: Bool[np.ndarray, "P"], axis: int, sign: int) -> Float[np.ndarray, "3"]:
        candidates = skin[where]
        return candidates[(sign * candidates[:, axis]).argmax()]

    middle = np.array([0.0, 1.0, 1.0])  # what lies on the midline is put on it
    level = np.abs(height - eye[1]) < 0.2 * unit
    temple = level & (skin[:, 2] > eye[2] - 0.8 * unit)
    lips = ring[[ring[:, 0].argmax(), ring[:, 0].argmin()]]
    return np.stack(
        [
            *eyes,
            *lips,
            mouth * middle,
            extreme(midline & (down > 0.2) & (down < 0.85), 2, 1) * middle,  # nose
            extreme(midline & (down > 1.3) & (down < 1.9), 2, 1) * middle,  # chin
            extreme(midline & level & (down < 0.05), 2, 1) * middle,  # between the brows
            extreme(down < 0, 1, 1) * middle,  # crown
            extreme(midline & (down < 0.5), 2, -1) * middle,  # back of the head
            extreme(temple, 0, 1),
            extreme(temple, 0, -1),
        ]
    )


@lru_cache(maxsize=1)
def _makehuman() -> tuple[HeadMesh, Float[np.ndarray, "12 3"]]:
    """MakeHuman's head and its anchors."""
    head = load_head()
    skin = head.part == 0
    outer = skin & ~head.masks["inner_mouth"]
    eyes = head.joints(head.base.verts)[[EYE_L, EYE_R]]
    ring = mouth_ring(head.verts, head.faces[outer[head.faces].all(1)], eyes)
    return head, anchors(head.verts[outer], eyes, head.verts[ring])


def to_makehuman(
    points: Float[np.ndarray, "P 3"], found: Float[np.ndarray, "12 3"]
) -> Float[np.ndarray, "P 3"]:
    """Carry points into MakeHuman's frame (m).

    Args:
        points: of another head (m).
        found: that head's anchors.
    """
    _, theirs = _makehuman()
    return RBFInterpolator(found, theirs, kernel="linear", degree=1)(points)


def regions(points: Float[np.ndarray, "P 3"]) -> dict[str, Bool[np.ndarray, "P"]]:
    """The regions of outer skin, given in MakeHuman's frame: those of its nearest skin vertex."""
    head, _ = _makehuman()
    skin = np.flatnonzero(head.part == 0)
    nearest = skin[KDTree(head.verts[skin]).query(points)[1]]
    return {name: head.masks[name][nearest] for name in REGIONS}
