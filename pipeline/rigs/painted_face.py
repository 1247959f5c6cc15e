"""A painted face: colours as a function of the place on MakeHuman's base head, no photograph.

Everything is drawn in the base mesh's frame, in millimetres, symmetric in x where a face is;
`texture` evaluates it once into the texture map, so that a rendered pixel costs a lookup.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import map_coordinates

from avatar.render.mesh import interpolate, rasterize_mesh
from pipeline.rigs.anny.head import PARTS, above_hairline

MM = 1000.0
IRIS_RADIUS, PUPIL_RADIUS = 5.9, 2.2  # mm on the eyeball
# Outlines on the front of the face, |x| -> y (mm): vermilion border, lid margins, brow's middle.
LIP_TOP = ((0, 8, 13, 18, 23, 26.5), (668.8, 670.0, 668.4, 666.0, 663.0, 661.0))
LIP_BOTTOM = ((0, 7, 13, 19, 23, 26.5), (649.2, 649.6, 650.4, 653.0, 656.5, 661.0))
LID_TOP = (
    (15, 18, 21, 27, 33, 39, 44, 48),
    (726.2, 728.0, 730.6, 733.2, 733.6, 732.4, 729.2, 727.0),
)
LID_BOTTOM = ((15, 21, 27, 33, 39, 44, 48), (726.0, 725.4, 723.8, 723.6, 724.8, 726.6, 727.0))
BROW = ((10, 16, 24, 34, 44, 52, 56), (743.0, 745.2, 747.8, 749.6, 748.4, 744.4, 741.6))
BROW_HALF_HEIGHT = ((10, 16, 30, 44, 56), (2.0, 3.4, 3.0, 2.2, 0.6))


@dataclass(frozen=True)
class Palette:
    """Colours (sRGB, 0..1) and how much of each detail."""

    skin: tuple[float, float, float] = (0.80, 0.61, 0.51)
    lips: tuple[float, float, float] = (0.66, 0.34, 0.32)
    brows: tuple[float, float, float] = (0.20, 0.13, 0.09)
    iris: tuple[float, float, float] = (0.25, 0.36, 0.42)
    cloth: tuple[float, float, float] = (0.16, 0.24, 0.36)
    scalp: tuple[float, float, float] = (0.30, 0.20, 0.14)
    freckles: float = 1.0
    clothed: bool = True


@runtime_checkable
class Surface(Protocol):
    """What can be painted: a mesh in MakeHuman's base frame (m) with texture coordinates.

    `part` is a vertex's place in `PARTS`, `cavity` whether it lies inside the mouth.
    """

    @property
    def verts(self) -> Float[np.ndarray, "V 3"]: ...
    @property
    def faces(self) -> Int[np.ndarray, "F 3"]: ...
    @property
    def uv(self) -> Float[np.ndarray, "U 2"]: ...
    @property
    def uv_faces(self) -> Int[np.ndarray, "F 3"]: ...
    @property
    def part(self) -> Int[np.ndarray, "V"]: ...
    @property
    def cavity(self) -> Bool[np.ndarray, "V"]: ...


def texture(head: Surface, size: int, palette: Palette) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The texture map of a head; row 0 is v = 1. Unused texels repeat their nearest neighbour."""
    where = np.concatenate([head.uv[:, :1], 1 - head.uv[:, 1:], np.ones((len(head.uv), 1))], 1)
    scale = np.diag([size, size, 1.0])
    face_ids, barycentric, _ = rasterize_mesh(where, head.uv_faces, np.eye(4), scale, size, size)
    used = face_ids >= 0
    points = interpolate(head.verts * MM, head.faces, face_ids, barycentric)[used]
    part = head.part[head.faces[face_ids[used], 0]]
    cavity = head.cavity[head.faces[face_ids[used]]].any(1)
    image = np.zeros((size, size, 3), np.uint8)
    image[used] = np.clip(paint(points, part, cavity, palette) * 255 + 0.5, 0, 255)
    _, nearest = cv2.distanceTransformWithLabels(
        (~used).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros(nearest.max() + 1, np.int64)
    lookup[nearest[used]] = np.flatnonzero(used.ravel())
    return image.reshape(-1, 3)[lookup[nearest]]


def paint(
    points: Float[np.ndarray, "P 3"],
    part: np.ndarray,
    cavity: Bool[np.ndarray, "P"],
    palette: Palette,
) -> Float[np.ndarray, "P 3"]:
    """Colour (sRGB, 0..1) at places of the base head.

    Args:
        points: base frame, millimetres.
        part: place in `PARTS` of the part each point belongs to.
        cavity: whether the point lies inside the mouth.
        palette: colours.
    """
    color = np.empty((len(points), 3))
    skin = part == 0
    color[skin] = _skin(points[skin], palette)
    color[skin & cavity] = (0.36, 0.12, 0.12)
    tongue = part == PARTS.index("helper-tongue")
    color[tongue] = (0.68, 0.36, 0.35)
    color[part > PARTS.index("helper-tongue")] = (0.88, 0.85, 0.78)
    eyes = (part == 1) | (part == 2)
    color[eyes] = _eyeball(points[eyes], palette)
    return color


def _skin(p: Float[np.ndarray, "P 3"], palette: Palette) -> Float[np.ndarray, "P 3"]:
    x, y, z = abs(p[:, 0]), p[:, 1], p[:, 2]
    color = np.tile(np.array(palette.skin), (len(p), 1))
    color *= 1 + 0.025 * noise(p, 14.0)[:, None] + 0.022 * noise(p, 1.8)[:, None]
    flush = 0.9 * _bump(x - 44, y - 697, 17) + 0.9 * _bump(x, y - 697, 12) * (z > 150)
    flush += 0.5 * _bump(x, y - 632, 14) + 0.8 * (x > 70) * (y > 680)
    color *= 1 - flush[:, None] * np.array([0.02, 0.13, 0.12])
    socket = _bump(x - 31, (y - 728) * 1.3, 15) * (z > 100)
    color *= 1 - socket[:, None] * np.array([0.12, 0.17, 0.15])
    if palette.freckles:
        spots = _step(noise(p, 2.4) - 1.25, 0.25) * (0.3 + _bump(x - 28, y - 700, 26))
        color *= 1 - palette.freckles * spots[:, None] * np.array([0.22, 0.30, 0.34]) * 0.8
    color = _mix(color, palette.lips, 0.85 * _lips(x, y, z) * (1 + 0.10 * noise(p, 1.0)))
    crease = _step(0.9 - abs(y - 660.8), 0.6) * _step(25.5 - x, 2) * (z > 120)
    color *= 1 - 0.45 * crease[:, None]
    color = _mix(color, palette.brows, _brows(p))
    color = _mix(color, (0.10, 0.07, 0.06), _lashes(x, y, z))
    hair = MM * above_hairline(p / MM) + 2 * noise(p, 5.0) - 2
    hair -= 30 * _step(x - 77, 2) * _step(y - 680, 5)  # ears stand out at the sides
    color = _mix(color, palette.scalp, _step(hair, 4))
    if palette.clothed:
        color = _mix(color, _cloth(p, palette), _step(_collar(p), 0.8)[:, None])
    return color


def _lips(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    top, bottom = np.interp(x, *LIP_TOP), np.interp(x, *LIP_BOTTOM)
    return _step(top - y, 0.7) * _step(y - bottom, 0.9) * (z > 118) * (x < 26.5)


def _brows(p: Float[np.ndarray, "P 3"]) -> np.ndarray:
    """Hairs that lean outwards: noise stretched along the brow under a soft outline."""
    x, y, z = abs(p[:, 0]), p[:, 1], p[:, 2]
    across = (y - np.interp(x, *BROW)) / np.interp(x, *BROW_HALF_HEIGHT)
    inside = _step(1 - abs(across), 0.45) * _step(x - 10, 2) * _step(56 - x, 3) * (z > 90)
    hairs = noise(np.stack([0.25 * x + 0.6 * y, 0.9 * x - 0.5 * y, 0.2 * z], 1), 0.8)
    return inside * np.clip(0.78 + 0.22 * hairs, 0, 1)


def _lashes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    near = (x > 16) & (x < 48) & (z > 100)
    upper = _step(1.0 - abs(y - np.interp(x, *LID_TOP) + 0.1), 0.5)
    lower = 0.35 * _step(0.7 - abs(y - np.interp(x, *LID_BOTTOM)), 0.5)
    return near * np.maximum(upper, lower)


def _collar(p: Float[np.ndarray, "P 3"]) -> np.ndarray:
    """Positive (mm) below the neckline of a crew-neck shirt."""
    return 588 - 0.62 * (p[:, 2] - 40) - p[:, 1] + 0.0006 * p[:, 0] ** 2


def _cloth(p: Float[np.ndarray, "P 3"], palette: Palette) -> Float[np.ndarray, "P 3"]:
    weave = 1 + 0.12 * noise(p, 1.5) + 0.04 * noise(p, 25.0)
    seam = _step(2.0 - abs(_collar(p) - 12), 1.0)
    return np.array(palette.cloth) * (weave * (1 - 0.25 * seam))[:, None]


def _eyeball(p: Float[np.ndarray, "P 3"], palette: Palette) -> Float[np.ndarray, "P 3"]:
    dx, dy = abs(p[:, 0]) - 30.8, p[:, 1] - 728.4
    radius = np.hypot(dx, dy)
    front = p[:, 2] > 124.5
    white = np.array([0.88, 0.86, 0.84]) * (1 - 0.004 * abs(dx)[:, None] * np.array([0.5, 2, 2]))
    streaks = noise(np.stack([6 * np.arctan2(dy, dx), 0.2 * radius, 0 * dx], 1), 0.35)
    iris = (
        np.array(palette.iris) * (1 + 0.22 * streaks + 0.5 * _bump(radius - 3.2, 0, 1.0))[:, None]
    )
    iris = _mix(iris, (0.07, 0.08, 0.09), _step(radius - IRIS_RADIUS + 0.9, 0.5))
    iris = _mix(iris, (0.02, 0.02, 0.02), _step(PUPIL_RADIUS - radius, 0.3))
    return _mix(white, iris, (_step(IRIS_RADIUS - radius, 0.4) * front)[:, None])


def noise(p: Float[np.ndarray, "P 3"], cell: float) -> Float[np.ndarray, "P"]:
    """Smooth noise with variance about 1, from a random lattice of the given cell size (mm)."""
    lattice = np.random.default_rng(7).normal(size=(32, 32, 32)).astype(np.float32)
    at = (p / cell + np.array([3.7, 11.2, 5.9])).T
    return 1.8 * map_coordinates(lattice, at, order=1, mode="grid-wrap")


def _bump(dx: np.ndarray, dy: np.ndarray | float, width: float) -> np.ndarray:
    return np.exp(-(dx * dx + dy * dy) / width**2)


def _step(value: np.ndarray, width: float) -> np.ndarray:
    """0 below -width, 1 above width, smooth between."""
    t = np.clip(0.5 + 0.5 * value / width, 0, 1)
    return t * t * (3 - 2 * t)


def _mix(color: np.ndarray, other: object, share: np.ndarray) -> np.ndarray:
    share = np.clip(share if share.ndim == 2 else share[:, None], 0, 1)
    return color * (1 - share) + np.asarray(other) * share
