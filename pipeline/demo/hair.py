"""Hair combed back over the scalp: a padded cap, and strands as thin ribbons on it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from avatar.render.mesh import vertex_normals
from pipeline.rigs.painted_face import MM, noise

THICKNESS, LUMPS = 0.013, 0.003  # m: of the cap away from its edge, and its unevenness
FADE = 0.018  # m from the hairline over which the cap rises to its full thickness
STRANDS, SEGMENTS, STEP = 2600, 5, 0.0075  # m per segment
WIDTH = 0.0021  # m at the root
COLOR = (0.26, 0.155, 0.09)  # sRGB


@dataclass(frozen=True)
class Hair:
    """Triangles with a colour and a direction (along the hair, unit) at every vertex."""

    verts: Float[np.ndarray, "H 3"]
    faces: Int[np.ndarray, "G 3"]
    tangents: Float[np.ndarray, "H 3"]
    colors: Float[np.ndarray, "H 3"]


def grow(
    skin: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    hairline: Float[np.ndarray, "V"],
    bare: Bool[np.ndarray, "V"],
) -> Hair:
    """Hair on a head at rest.

    Args:
        skin: vertices, metres, y up, z from the face towards the viewer.
        faces: triangles, counter-clockwise from outside.
        hairline: height (m) above the line at which hair begins, per vertex.
        bare: where none grows although it is above the line (ears).
    """
    rng = np.random.default_rng(5)
    chosen = faces[(hairline[faces] > 0).any(1) & ~bare[faces].any(1)]
    index = np.unique(chosen)
    triangles = np.searchsorted(index, chosen)
    verts, normals, above = skin[index], vertex_normals(skin, faces)[index], hairline[index]
    for _ in range(2):
        verts, normals, above, triangles = _subdivide(verts, normals, above, triangles)
    # The edge follows the hairline, not the coarse triangles; unused vertices stay.
    triangles = triangles[(above[triangles] > 0).all(1)]
    edge = verts[_border(triangles)]
    inside = np.clip(cKDTree(edge).query(verts)[0] / FADE, 0, 1)
    rise = THICKNESS * np.sin(inside * np.pi / 2) + LUMPS * inside * noise(verts * MM, 14.0)
    cap = verts + normals * np.maximum(rise, 0.0004)[:, None]
    comb = _comb(cap, normals)
    shade = 0.75 + 0.10 * noise(verts * MM, 3.0)
    cap_hair = Hair(cap, triangles, comb, np.array(COLOR) * shade[:, None])
    return _join(cap_hair, _strands(cap, normals, triangles, inside, rng))


def _comb(
    points: Float[np.ndarray, "P 3"], normals: Float[np.ndarray, "P 3"]
) -> Float[np.ndarray, "P 3"]:
    """Which way hair lies: back over the top, down at the sides, away from a side parting."""
    down = np.clip(-points[:, 2] / 0.08, -0.2, 1.2) + np.clip(abs(points[:, 0]) / 0.09, 0, 1)
    away = np.sign(points[:, 0] - 0.025) * 0.5 * np.clip(points[:, 1] / 0.1, 0, 1)
    flow = np.stack([away, -0.9 * down, np.full(len(points), -1.0)], 1)
    flow += 0.35 * np.stack([noise(points * MM + 50 * axis, 30.0) for axis in range(3)], 1)
    return _unit(flow - (flow * normals).sum(1, keepdims=True) * normals)


def _strands(
    cap: Float[np.ndarray, "P 3"],
    normals: Float[np.ndarray, "P 3"],
    triangles: Int[np.ndarray, "T 3"],
    inside: Float[np.ndarray, "P"],
    rng: np.random.Generator,
) -> Hair:
    """Ribbons that start on the cap, follow the comb and stay a little above the cap."""
    corners = cap[triangles]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    pick = rng.choice(len(triangles), STRANDS, p=area / area.sum())
    weights = rng.dirichlet((1.0, 1.0, 1.0), STRANDS)
    point = (corners[pick] * weights[:, :, None]).sum(1)
    lift = rng.uniform(0.0005, 0.004, STRANDS) * (0.3 + 0.7 * inside[triangles[pick, 0]])
    length = STEP * rng.uniform(0.6, 1.3, STRANDS)
    wave = rng.normal(0, 0.25, (STRANDS, 3))
    tree = cKDTree(cap)
    spine = [point]
    for segment in range(SEGMENTS):
        _, near = tree.query(spine[-1])
        direction = _unit(_comb(spine[-1], normals[near]) + wave)
        step = spine[-1] + direction * length[:, None]
        _, near = tree.query(step)
        above = ((step - cap[near]) * normals[near]).sum(1)
        wanted = lift * np.sin(np.pi * (segment + 1) / (SEGMENTS + 1.5))
        spine.append(step + normals[near] * (wanted - above)[:, None])
    line = np.stack(spine, 1)
    along = _unit(np.gradient(line, axis=1))
    _, near = tree.query(line)
    width = WIDTH * rng.uniform(0.6, 1.2, (STRANDS, 1)) * np.linspace(1, 0.35, SEGMENTS + 1)
    across = _unit(np.cross(normals[near], along)) * width[..., None] / 2
    ribbon = np.stack([line - across, line + across], 2)
    tone = rng.normal(1.0, 0.16, (STRANDS, 1, 1)) * np.linspace(0.85, 1.12, SEGMENTS + 1)[:, None]
    warm = 1 + rng.normal(0, 0.05, (STRANDS, 1, 1)) * np.array([1.0, 0.0, -1.0])
    colors = np.repeat((np.array(COLOR) * tone * warm)[:, :, None], 2, 2)
    first = (
        2 * np.arange(SEGMENTS)[:, None] + 2 * (SEGMENTS + 1) * np.arange(STRANDS)[:, None, None]
    )
    quads = (first[..., None, :] + np.array([[0, 1, 2], [1, 3, 2]])).reshape(-1, 3)
    return Hair(
        ribbon.reshape(-1, 3), quads, np.repeat(along[:, :, None], 2, 2).reshape(-1, 3),
        np.clip(colors.reshape(-1, 3), 0.01, 1),
    )  # fmt: skip


def _subdivide(
    verts: Float[np.ndarray, "P 3"],
    normals: Float[np.ndarray, "P 3"],
    values: Float[np.ndarray, "P"],
    faces: Int[np.ndarray, "T 3"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every triangle into four; midpoints are lifted to follow the surface's curvature.

    The lift is PN triangles' edge midpoint (Vlachos et al. 2001).
    """
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    a, b = unique.T
    span = verts[b] - verts[a]
    bend_a = (span * normals[a]).sum(1, keepdims=True) * normals[a]
    bend_b = (span * normals[b]).sum(1, keepdims=True) * normals[b]
    middle = (verts[a] + verts[b]) / 2 + (bend_b - bend_a) / 8
    i, j, k = faces.T
    ij, jk, ki = (len(verts) + inverse.reshape(-1, 3)).T
    parts = [(i, ij, ki), (ij, j, jk), (ki, jk, k), (ij, jk, ki)]
    split = np.stack([np.stack(part, 1) for part in parts], 1).reshape(-1, 3)
    return (
        np.concatenate([verts, middle]),
        np.concatenate([normals, _unit(normals[a] + normals[b])]),
        np.concatenate([values, (values[a] + values[b]) / 2]),
        split,
    )


def _border(faces: Int[np.ndarray, "T 3"]) -> Int[np.ndarray, "B"]:
    """Vertices on edges that only one triangle has."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(unique[count == 1])


def _join(a: Hair, b: Hair) -> Hair:
    return Hair(
        np.concatenate([a.verts, b.verts]),
        np.concatenate([a.faces, b.faces + len(a.verts)]),
        np.concatenate([a.tangents, b.tangents]),
        np.concatenate([a.colors, b.colors]),
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
