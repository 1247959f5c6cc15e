"""What landmarks tell of a driven face: whether it follows its driver, and whose it is.

Openings are in lengths of the nose, so that neither the camera nor the size of a head counts.
Distances are taken after the similarity transform that brings two faces nearest to each other.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from pipeline.detect.landmarks import LEFT_EYE, RIGHT_EYE

LIPS = ((13, 14),)  # landmarks whose distance is the opening
LIDS = ((159, 145), (386, 374))
NOSE = (168, 2)  # from its root to its base: no expression moves them apart
FACE = 468  # landmarks without the irises
NEUTRAL, CLOSED = 1 / 20, 1 / 100  # of the frames
Points = Float[np.ndarray, "T 478 2"]  # pixels, NaN where there is no face


def opening(points: Points, pairs: tuple[tuple[int, int], ...]) -> Float[np.ndarray, "T"]:
    """Mean distance of pairs of landmarks in lengths of the nose."""
    nose = np.linalg.norm(points[:, NOSE[0]] - points[:, NOSE[1]], axis=1)
    gaps = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in pairs]
    return np.mean(gaps, 0) / nose


def correlation(one: Points, other: Points, pairs: tuple[tuple[int, int], ...]) -> float:
    """Of an opening over time, where both have a face; NaN where one of them never changes."""
    first, second = opening(one, pairs), opening(other, pairs)
    both = np.isfinite(first + second)
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(first[both], second[both])[0, 1])


def closed(points: Points) -> float:
    """How far the lids close: the `CLOSED` quantile of their opening, per cent of the median."""
    lids = opening(points, LIDS)
    return float(100 * np.nanquantile(lids, CLOSED) / np.nanmedian(lids))


def neutral(points: Points, turn: Float[np.ndarray, "T"]) -> Int[np.ndarray, "N"]:
    """The `NEUTRAL` share of the frames, the most neutral first.

    Their mouth is most closed, their eyes are most open, and their head is turned least.

    Args:
        turn: of the head, any unit.
    """
    ranks = pd.DataFrame({
        "mouth": opening(points, LIPS), "eyes": -opening(points, LIDS), "turn": turn
    }).rank(pct=True)  # fmt: skip
    order = ranks.sum(axis=1, skipna=False).dropna().sort_values(kind="stable").index.to_numpy()
    return order[: max(1, round(len(order) * NEUTRAL))]


def mean_face(points: Points) -> Float[np.ndarray, "468 2"]:
    """Mean landmarks, without the irises, of faces brought onto the first of them.

    Args:
        points: one face at least.
    """
    faces = points[np.isfinite(points[:, 0, 0]), :FACE].astype(float)
    return np.mean([aligned(face, faces[0]) for face in faces], 0)


def aligned(
    points: Float[np.ndarray, "P 2"], to: Float[np.ndarray, "P 2"]
) -> Float[np.ndarray, "P 2"]:
    """The points after the similarity transform that brings them nearest to others."""
    z, w = points @ [1, 1j], to @ [1, 1j]
    factor = np.vdot(z - z.mean(), w - w.mean()) / np.vdot(z - z.mean(), z - z.mean())
    moved = (z - z.mean()) * factor + w.mean()
    return np.stack([moved.real, moved.imag], 1)


def difference(one: Float[np.ndarray, "P 2"], other: Float[np.ndarray, "P 2"]) -> float:
    """Mean distance of two faces in per cent of the distance of the second's outer eye corners."""
    eyes = np.linalg.norm(other[LEFT_EYE] - other[RIGHT_EYE])
    return float(100 * np.linalg.norm(aligned(one, other) - other, axis=1).mean() / eyes)
