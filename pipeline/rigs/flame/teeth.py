"""Teeth for FLAME, which has none: two bent plates behind the lips, made from the lips' ring.

FLAME's skin is open between the lips. That opening's boundary, found in the mesh, gives the
width and the bend of the dental arches. A row of 15 vertices is a blend of ring vertices plus a
fixed offset, so its identity basis is the same blend of the ring's. Either jaw has four rows,
root to edge in front and edge to root behind, which three strips of triangles join.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from avatar.base.errors import UserError

COLUMNS = 15  # vertices in a row
# Places of a row against the lips' line, in shares of the distance of the mouth's corners
# (about 50 mm): height towards the row's own jaw, and how far behind the lips. The upper edge
# shows under the lip when the mouth opens.
UPPER_ROWS = ((0.15, 0.13), (-0.09, 0.12), (-0.09, 0.17), (0.15, 0.26))  # front root .. back root
LOWER_ROWS = ((0.19, 0.19), (0.06, 0.19), (0.06, 0.24), (0.19, 0.30))  # bite behind the upper ones
WIDTH = 0.96  # of the arch's front against the mouth's; its ends bend back like the lips'
BEND = 0.12  # how much further back the ends lie than the lips' own bend, in the same shares


@dataclass(frozen=True)
class Teeth:
    """Teeth to be appended to a mesh: vertices `upper` first, then the lower ones.

    Attributes:
        ring [R]: the mesh's vertices around the mouth's opening.
        blend [120,R]: shares of them in every vertex (rows sum to one).
        offset [120,3]: what is added, metres.
        faces [168,3]: triangles in the teeth's own numbering, counter-clockwise from outside.
    """

    ring: Int[np.ndarray, "R"]
    blend: Float[np.ndarray, "120 R"]
    offset: Float[np.ndarray, "120 3"]
    faces: Int[np.ndarray, "168 3"]

    def verts(self, mesh: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "120 3"]:
        """Rest positions (m) in a mesh."""
        return self.blend @ mesh[self.ring] + self.offset


def boundary_loops(faces: Int[np.ndarray, "F 3"], num_verts: int) -> list[Int[np.ndarray, "_"]]:
    """The mesh's open boundaries, each in order around it."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    same, counts = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    border = same[counts == 1]
    graph = coo_matrix((np.ones(len(border)), border.T), (num_verts, num_verts))
    _, labels = connected_components(graph, directed=False)
    loops = []
    for label in np.unique(labels[border[:, 0]]):
        mine = border[labels[border[:, 0]] == label]
        loop = [int(mine[0, 0])]
        follow: dict[int, list[int]] = {}
        for a, b in mine.tolist():
            follow.setdefault(a, []).append(b)
            follow.setdefault(b, []).append(a)
        seen = {loop[0]}
        while ahead := [vertex for vertex in follow[loop[-1]] if vertex not in seen]:
            loop.append(ahead[0])
            seen.add(ahead[0])
        loops.append(np.array(loop))
    return loops


def mouth_ring(
    verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], eyes: Float[np.ndarray, "2 3"]
) -> Int[np.ndarray, "R"]:
    """The vertices around the opening between the lips, in order.

    Of the mesh's boundaries it is the one in front and in the middle, below the eyes: the neck's
    is the lowest, sockets of eyes lie beside the middle.

    Args:
        eyes: centres of the eyeballs (m).
    Raises:
        UserError: there is none.
    """
    distance = np.linalg.norm(eyes[0] - eyes[1])
    middle = eyes.mean(0)
    for loop in boundary_loops(faces, len(verts)):
        centre = (verts[loop].min(0) + verts[loop].max(0)) / 2 - middle
        below = -2.0 * distance < centre[1] < -0.5 * distance
        if abs(centre[0]) < 0.2 * distance and below and centre[2] > -0.5 * distance:
            return loop
    raise UserError("FLAME's mesh has no opening between the lips, behind which teeth could be put")


def arcs(
    ring: Float[np.ndarray, "R 3"],
) -> tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]:
    """Upper and lower lip of a ring: places in it, from the subject's right corner to the left."""
    right, left = int(ring[:, 0].argmin()), int(ring[:, 0].argmax())
    count = len(ring)
    one = (right + np.arange((left - right) % count + 1)) % count
    other = (right - np.arange((right - left) % count + 1)) % count
    upper, lower = sorted((one, other), key=lambda arc: -float(ring[arc, 1].mean()))
    return upper, lower


def build(
    verts: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], eyes: Float[np.ndarray, "2 3"]
) -> Teeth:
    """Teeth for a mesh whose mouth is open.

    Raises:
        UserError: the mesh has no opening between the lips.
    """
    ring = mouth_ring(verts, faces, eyes)
    points = verts[ring]
    upper, lower = arcs(points)
    arch = (_resample(points, upper) + _resample(points, lower)) / 2
    # Only the bend (z) and the width (x) are the arch's: its height is that of the mouth's middle.
    width = float(np.ptp(points[:, 0]))
    line = arch @ points
    level = line[:, 1].mean() - line[:, 1]
    across = np.linspace(-1, 1, COLUMNS)
    rows = []
    for sign, profile in ((1, UPPER_ROWS), (-1, LOWER_ROWS)):
        for height, behind in profile:
            back = width * (behind + BEND * across**2)
            x = (WIDTH - 1) * line[:, 0]
            rows.append(np.stack([x, level + sign * height * width, -back], 1))
    return Teeth(ring, np.tile(arch, (8, 1)), np.concatenate(rows), _faces())


def _resample(
    points: Float[np.ndarray, "R 3"], arc: Int[np.ndarray, "A"]
) -> Float[np.ndarray, "15 R"]:
    """Shares of ring vertices at 15 places evenly along an arc."""
    steps = np.linalg.norm(np.diff(points[arc], axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    shares = np.zeros((COLUMNS, len(points)))
    for row, place in enumerate(np.linspace(0, 1, COLUMNS)):
        after = int(np.clip(np.searchsorted(along, place), 1, len(arc) - 1))
        share = (place - along[after - 1]) / (along[after] - along[after - 1])
        shares[row, arc[after - 1]] += 1 - share
        shares[row, arc[after]] += share
    return shares


def _faces() -> Int[np.ndarray, "168 3"]:
    """Strips between neighbouring rows; the lower jaw's profile runs the other way round."""
    corners = np.arange(8 * COLUMNS).reshape(8, COLUMNS)
    faces = []
    for first, outward in ((0, True), (4, False)):
        for row in range(first, first + 3):
            a, b = corners[row, :-1], corners[row + 1, :-1]
            quads = np.stack([a, b, b + 1, a + 1], 1)
            quads = quads if outward else quads[:, ::-1]
            faces.append(np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3))
    return np.concatenate(faces)
