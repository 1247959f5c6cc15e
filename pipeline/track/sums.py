"""The solver's innermost sums, compiled: they run in threads side by side."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def pixel_jacobian(seen, turns, focal):
    """Derivatives of pixels by the point in the head's frame and by the logarithm of the zoom.

    Args:
        seen [B,C,L,3]: points in the cameras' frames, m; turns [B,C,3,3]: head to camera.
        focal [C,2]: pixels.
    Returns:
        [B,C,L,2,4], single precision.
    """
    count, cameras, points, _ = seen.shape
    result = np.empty((count, cameras, points, 2, 4), np.float32)
    for t in range(count):
        for c in range(cameras):
            turn = turns[t, c]
            for p in range(points):
                depth = seen[t, c, p, 2]
                for axis in range(2):
                    ahead = seen[t, c, p, axis] / depth
                    for k in range(3):
                        slope = turn[axis, k] - ahead * turn[2, k]
                        result[t, c, p, axis, k] = focal[c, axis] / depth * slope
                    result[t, c, p, axis, 3] = focal[c, axis] * ahead
    return result


@njit(cache=True, nogil=True)
def information(rows, weights, residuals):
    """`sum A^T w A` and `sum A^T w r` of every point, over cameras and rows.

    Args:
        rows [B,C,L,R,4]; weights, residuals [B,C,L,R].
    Returns:
        [B,L,4,4] and [B,L,4], single precision.
    """
    count, cameras, points, height, _ = rows.shape
    matrix = np.zeros((count, points, 4, 4), np.float32)
    pull = np.zeros((count, points, 4), np.float32)
    for t in range(count):
        for c in range(cameras):
            for p in range(points):
                for r in range(height):
                    weight = weights[t, c, p, r]
                    if weight == 0:
                        continue
                    for i in range(4):
                        heavy = weight * rows[t, c, p, r, i]
                        pull[t, p, i] += heavy * residuals[t, c, p, r]
                        for j in range(4):
                            matrix[t, p, i, j] += heavy * rows[t, c, p, r, j]
    return matrix, pull


@njit(cache=True, nogil=True, fastmath=True)
def weigh(matrix, jacobian):
    """`matrix @ jacobian` per point, without the zoom's row: [B,L,4,4], [B,3,L,P] to [B,3,L,P]."""
    count, _, points, columns = jacobian.shape
    result = np.empty_like(jacobian)
    for t in range(count):
        for i in range(3):
            for p in range(points):
                x, y, z = matrix[t, p, i, 0], matrix[t, p, i, 1], matrix[t, p, i, 2]
                for k in range(columns):
                    result[t, i, p, k] = x * jacobian[t, 0, p, k] + y * jacobian[t, 1, p, k]
                    result[t, i, p, k] += z * jacobian[t, 2, p, k]
    return result
