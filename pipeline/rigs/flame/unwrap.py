"""Texture coordinates for a head that comes without: FLAME's file has none.

The skin is unrolled about the head's vertical axis with the seam behind; below it lie the two
eyeballs, each seen from its front pole, and the teeth, row by row.
"""

import numpy as np
from jaxtyping import Float, Int

STRIP = 0.22  # of the texture's height, for eyes and teeth
EYES, TEETH = ((0.02, 0.02), (0.24, 0.02)), (0.50, 0.02)  # lower left corners
SIZE = 0.18  # of an eye's square, and of the teeth's height


def unwrap(
    verts: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    part: Int[np.ndarray, "V"],
    eyes: Float[np.ndarray, "2 3"],
    columns: int,
) -> tuple[Float[np.ndarray, "U 2"], Int[np.ndarray, "F 3"]]:
    """Texture coordinates (0..1) and the faces' corners in them.

    Args:
        verts: rest positions (m); teeth come last, `columns` to a row.
        part: 0 skin, 1 left eye, 2 right eye, more: teeth.
        eyes: centres of the eyeballs (m), left then right.
    """
    uv = np.zeros((len(verts), 2))
    skin = part == 0
    uv[skin] = _around(verts[skin])
    for side, (centre, corner) in enumerate(zip(eyes, EYES, strict=True), start=1):
        ball = part == side
        uv[ball] = np.array(corner) + SIZE * _from_front(verts[ball] - centre)
    teeth = np.flatnonzero(part > 2)
    row, column = np.divmod(np.arange(len(teeth)), columns)
    rows = max(len(teeth) // columns - 1, 1)
    uv[teeth, 0] = TEETH[0] + (1 - TEETH[0] - 0.02) * column / (columns - 1)
    uv[teeth, 1] = TEETH[1] + SIZE * row / rows
    return _with_seam(uv, _without_backs(uv, faces, (part == 1) | (part == 2)), skin)


def _around(verts: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 2"]:
    """Angle about the vertical axis through the head's middle, and height."""
    low, high = verts.min(0), verts.max(0)
    middle = (low + high) / 2
    angle = np.arctan2(verts[:, 0] - middle[0], verts[:, 2] - middle[2])
    height = (verts[:, 1] - low[1]) / (high[1] - low[1])
    return np.stack([0.5 + angle / (2 * np.pi), STRIP + (0.99 - STRIP) * height], 1)


def _from_front(arms: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 2"]:
    """The sphere from its front pole, distances along meridians kept: a disc in 0..1."""
    radius = np.arccos(np.clip(arms[:, 2] / np.linalg.norm(arms, axis=1), -1, 1)) / np.pi
    around = arms[:, :2] / np.maximum(np.linalg.norm(arms[:, :2], axis=1, keepdims=True), 1e-12)
    return 0.5 + 0.5 * radius[:, None] * around


def _without_backs(
    uv: Float[np.ndarray, "V 2"], faces: Int[np.ndarray, "F 3"], eyeballs: np.ndarray
) -> Int[np.ndarray, "F 3"]:
    """Corners in which faces about an eye's back pole, which would cover the disc, are points."""
    back = eyeballs[faces[:, 0]] & (np.ptp(uv[faces], axis=1).max(1) > SIZE / 3)
    return np.where(back[:, None], faces[:, :1], faces)


def _with_seam(
    uv: Float[np.ndarray, "V 2"], faces: Int[np.ndarray, "F 3"], skin: np.ndarray
) -> tuple[Float[np.ndarray, "U 2"], Int[np.ndarray, "F 3"]]:
    """Faces across the seam get corners of their own, past the right edge; then all fits in."""
    u = uv[faces, 0]
    across = skin[faces[:, 0]] & (np.ptp(u, axis=1) > 0.5)
    doubled = np.unique(faces[across][u[across] < 0.5])
    moved = np.full(len(uv), -1)
    moved[doubled] = len(uv) + np.arange(len(doubled))
    corners = faces.copy()
    here = across[:, None] & (u < 0.5)
    corners[here] = moved[faces[here]]
    uv = np.concatenate([uv, uv[doubled] + [1.0, 0.0]])
    uv[:, 0] /= max(1.0, float(uv[:, 0].max()))
    return uv, corners
