"""The solver's innermost sums, compiled: they run in threads side by side."""

import numpy as np
from numba import njit

HINGE, EXPR = 6, 15  # unknowns of a timestep before its hinges, and before its expression
RANKLESS = 1e-9  # share of a point's information below which a direction counts as unknown


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
        [B,L,4,4] and [B,L,4].
    """
    count, cameras, points, height, _ = rows.shape
    matrix = np.zeros((count, points, 4, 4))
    pull = np.zeros((count, points, 4))
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


@njit(cache=True, nogil=True)
def root(matrix, pull, rows, residual):
    """Few rows that say the same of a point: `G^T G = matrix` and `G^T r = pull`.

    Args:
        matrix [4,4]: positive semidefinite; pull [4]: in its range.
        rows [4,4], residual [4]: receive Cholesky's G, upper triangular, with zero rows where
            the matrix has no rank left, and r.
    """
    rows[:] = 0
    residual[:] = 0
    for i in range(4):
        pivot, rest = matrix[i, i], pull[i]
        for j in range(i):
            pivot -= rows[j, i] ** 2
            rest -= rows[j, i] * residual[j]
        if pivot <= RANKLESS * matrix[i, i]:
            continue
        length = np.sqrt(pivot)
        residual[i] = rest / length
        for k in range(i, 4):
            entry = matrix[i, k]
            for j in range(i):
                entry -= rows[j, i] * rows[j, k]
            rows[i, k] = entry / length


@njit(cache=True, nogil=True, fastmath=True)
def pull_back(matrix, pull, pose, bases, columns, result, right):
    """What points know, as rows by the unknowns: `A^T A` and `A^T r` are the Hessian and gradient.

    Every point's information becomes at most four rows; each row meets the bases as they are,
    turned by the joints instead of turning those.

    Args:
        matrix [L,4,4], pull [L,4]: as `information` gives them, in the head's frame.
        pose: arms [L,3] from the pivot (m), the head's rotation [3,3], the points of `hinged`
            from their joints [R,3], the hinges' turns [3,3,3], their left Jacobians [3,3,3], and
            the turns' entries by the angles [9,27].
        bases: of the points [L,3,*] by expression, shape and entries; the same of what hinges
            carry [R,3,*]; and for each point and hinge the row of the latter or -1 [L,3].
        columns: how many are wanted: HINGE, EXPR + E, or all, EXPR + E + S + 1.
        result [4L,columns], right [4L]: receive A (unknowns in the order of a state's, then
            shape and zoom) and r.
    Returns:
        How many rows there are.
    """
    arms, rotation, carried, turns, axes, features = pose
    rigid, hinged, places = bases
    exprs, shapes, entries = rigid[0].shape[2], rigid[1].shape[2], rigid[2].shape[2]
    last = EXPR + exprs
    with_shape = columns > last
    rows, residual = np.zeros((4, 4)), np.zeros(4)
    by_entry = np.zeros(entries, np.float32)
    count = 0
    for p in range(len(matrix)):
        if matrix[p, 0, 0] + matrix[p, 1, 1] + matrix[p, 2, 2] == 0:
            continue
        root(matrix[p], pull[p], rows, residual)
        for i in range(4):
            if rows[i, i] == 0:
                continue
            row = result[count]
            right[count] = residual[i]
            count += 1
            x, y, z = rows[i, 0], rows[i, 1], rows[i, 2]
            row[0], row[1], row[2] = _cross(arms[p], x, y, z)
            for axis in range(3):
                row[3 + axis] = (
                    rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
                )
            if columns == HINGE:
                continue
            row[HINGE:columns] = 0
            by_entry[:] = 0
            _meet(x, y, z, rigid[0][p], row[EXPR:last])
            _meet(x, y, z, rigid[2][p], by_entry)
            if with_shape:
                _meet(x, y, z, rigid[1][p], row[last : last + shapes])
                row[last + shapes] = rows[i, 3]
            for joint in range(3):
                place = places[p, joint]
                if place < 0:
                    continue
                turn, arm, axis = turns[joint], carried[place], axes[joint]
                mx, my, mz = _cross(arm, x, y, z)
                for angle in range(3):
                    row[HINGE + 3 * joint + angle] += (
                        mx * axis[0, angle] + my * axis[1, angle] + mz * axis[2, angle]
                    )
                tx = turn[0, 0] * x + turn[1, 0] * y + turn[2, 0] * z
                ty = turn[0, 1] * x + turn[1, 1] * y + turn[2, 1] * z
                tz = turn[0, 2] * x + turn[1, 2] * y + turn[2, 2] * z
                _meet(tx, ty, tz, hinged[0][place], row[EXPR:last])
                _meet(tx, ty, tz, hinged[2][place], by_entry)
                if with_shape:
                    _meet(tx, ty, tz, hinged[1][place], row[last : last + shapes])
            for angle in range(9):
                total = np.float32(0)
                for entry in range(entries):
                    total += by_entry[entry] * features[angle, entry]
                row[HINGE + angle] += total
    return count


@njit(cache=True, nogil=True, fastmath=True)
def _cross(arm, x, y, z):
    """The cross product of `arm` and `(x, y, z)`."""
    return arm[1] * z - arm[2] * y, arm[2] * x - arm[0] * z, arm[0] * y - arm[1] * x


@njit(cache=True, nogil=True, fastmath=True)
def _meet(x, y, z, basis, row):
    """Add `(x, y, z) @ basis`."""
    first, second, third = np.float32(x), np.float32(y), np.float32(z)
    for column in range(len(row)):
        row[column] += (
            first * basis[0, column] + second * basis[1, column] + third * basis[2, column]
        )
