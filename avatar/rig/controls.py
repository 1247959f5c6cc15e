"""A smooth deformation of the rest mesh, by control points: what no expression describes.

Clothes and hair slide, hang and fold, and a face has creases that its blendshapes lack. The surface
follows control points that are spread evenly over it; the weights of a vertex fall off with its
distance to them and sum to one, so that points which move together carry the mesh rigidly.
"""

import numpy as np
from jaxtyping import Float, Int

CONTROLS = 64  # C
_REACH = 0.7  # standard deviation of a point's influence, in mean distances to the nearest point


def control_weights(v_template: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V C"]:
    """Share of each control point in the motion of each vertex: normalised Gaussians."""
    verts = v_template.astype(np.float64)
    distances = _distances(verts, verts[control_verts(verts)])
    nearest = np.sort(distances[control_verts(verts)], axis=1)[:, 1]
    weights = np.exp(-0.5 * (distances / (_REACH * nearest.mean())) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def control_verts(verts: Float[np.ndarray, "V 3"]) -> Int[np.ndarray, "C"]:
    """Vertices that are control points: from the foremost on, each far from those before.

    The same on every machine: parameters in files are of these points, in this order.
    """
    chosen = [int(verts[:, 2].argmax())]
    away = np.full(len(verts), np.inf)
    while len(chosen) < CONTROLS:
        away = np.minimum(away, _distances(verts, verts[chosen[-1:]])[:, 0])
        chosen.append(int(away.argmax()))
    return np.array(chosen)


def _distances(
    a: Float[np.ndarray, "A 3"], b: Float[np.ndarray, "B 3"]
) -> Float[np.ndarray, "A B"]:
    # Term by term: sums in another order would decide ties of a symmetric mesh otherwise.
    x, y, z = ((a[:, None, axis] - b[None, :, axis]) ** 2 for axis in range(3))
    return np.sqrt(x + y + z)
