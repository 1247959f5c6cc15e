"""Damped Gauss-Newton with box constraints on an arrow-shaped, banded system."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import cho_factor, cho_solve, cho_solve_banded, cholesky_banded

from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import Free, Normal, State

FIXED = 1e12  # times the diagonal: an unknown with this much inertia goes where it is put
ENOUGH = 5e-3  # share of the cost; a step that gains less is the last
ACTIVE_SETS = 2  # solves per step at most, while unknowns run into their bounds


@dataclass(frozen=True)
class Band:
    """Smoothness of T timesteps as a symmetric matrix that only couples t with t, t+1, t+2.

    `couplings[d] [T-d]` is the entry between t and t+d; it is the same for every unknown up to
    the unknown's `precision [P]`.
    """

    couplings: tuple[np.ndarray, np.ndarray, np.ndarray]
    precision: Float[np.ndarray, "P"]

    @property
    def reach(self) -> int:
        """How many timesteps apart the furthest coupled ones are."""
        return 2 if self.couplings[2].any() else 0

    def apply(self, values: Float[np.ndarray, "T P"]) -> Float[np.ndarray, "T P"]:
        """The matrix times a vector."""
        result = self.couplings[0][:, None] * values
        for distance in (1, 2):
            coupling = self.couplings[distance][:, None]
            result[:-distance] += coupling * values[distance:]
            result[distance:] += coupling * values[:-distance]
        return result * self.precision


def band(problem: Problem, free: Free) -> Band:
    """The Hessian of the smoothness term: `D^T D` of the second differences `D`."""
    count, middle = len(problem.observations), problem.smooth
    zero, one, two = np.zeros(count), np.zeros(max(count - 1, 0)), np.zeros(max(count - 2, 0))
    for offset, value in ((-1, 1.0), (0, 4.0), (1, 1.0)):
        zero[middle + offset] += value
    one[middle - 1] -= 2
    one[middle] -= 2
    two[middle - 1] += 1
    return Band((zero, one, two), problem.smooth_precision[free.frame])


def smooth_gradient(problem: Problem, state: State, free: Free) -> Float[np.ndarray, "T P"]:
    """`D^T` times the weighted second differences."""
    change = (problem.second_differences(state) * problem.smooth_precision)[:, free.frame]
    gradient = np.zeros((len(problem.observations), len(free.frame)))
    gradient[problem.smooth - 1] += change
    gradient[problem.smooth] -= 2 * change
    gradient[problem.smooth + 1] += change
    return gradient


def solve(problem: Problem, state: State, free: Free, iterations: int) -> State:
    """Lower the cost by at most `iterations` damped Gauss-Newton steps.

    Stops when a step gains less than `ENOUGH` of the cost.
    """
    coupling = band(problem, free)
    cost, damping = problem.cost(state), 1e-3
    for _ in range(iterations):
        normal = problem.linearise(state, free)
        normal.frame_gradient += smooth_gradient(problem, state, free)
        room = problem.room(state, free)
        frame, shared = bounded_step(normal, coupling, room, damping)
        for halvings in range(6):
            share = 0.5**halvings
            trial = problem.moved(state, free, share * frame, share * shared)
            reached = problem.cost(trial)
            if reached < cost:
                break
        else:
            return state
        gain = (cost - reached) / abs(cost)
        damping = max(damping * (10 if halvings else 0.1), 1e-7)
        state, cost = trial, reached
        if gain < ENOUGH:
            break
    return state


def bounded_step(
    normal: Normal, coupling: Band, room: Float[np.ndarray, "2 T P"], damping: float
) -> tuple[Float[np.ndarray, "T P"], Float[np.ndarray, "Q"]]:
    """A step that stays within `room`, the least and greatest change of each unknown.

    Active sets: unknowns on a bound that the gradient pushes against are held; whatever would
    still leave the box is put on its wall and the rest solved anew.
    """
    gradient = normal.frame_gradient
    held = ((room[0] >= 0) & (gradient > 0)) | ((room[1] <= 0) & (gradient < 0))
    walls = np.zeros_like(gradient)
    for _ in range(ACTIVE_SETS):
        frame, shared = step(normal, coupling, held, walls, damping)
        inside = np.clip(frame, *room)
        outside = ~held & (inside != frame)
        if not outside.any():
            break
        walls[outside] = inside[outside]
        held |= outside
    return frame, shared


def step(
    normal: Normal,
    coupling: Band,
    held: Bool[np.ndarray, "T P"],
    walls: Float[np.ndarray, "T P"],
    damping: float,
) -> tuple[Float[np.ndarray, "T P"], Float[np.ndarray, "Q"]]:
    """Solve the damped normal equations, the `held` unknowns changing by `walls`.

    Timesteps are eliminated first: their part is block-diagonal plus the band, so one banded
    Cholesky factor serves the gradient and the columns of the shared unknowns.
    """
    count, columns = normal.frame_gradient.shape
    matrix, diagonal = _banded(normal, coupling, held, damping)
    wanted = np.where(held, diagonal * walls, -normal.frame_gradient)
    cross = np.where(held[..., None], 0.0, normal.cross)
    right = np.concatenate([wanted[..., None], cross], 2).reshape(count * columns, -1)
    factor = cholesky_banded(matrix, overwrite_ab=True, check_finite=False)
    solved = cho_solve_banded((factor, False), right, check_finite=False)
    frame, by_shared = solved[:, 0], solved[:, 1:]
    shared = np.zeros(normal.cross.shape[2])
    if len(shared):
        towards = normal.cross.reshape(count * columns, -1).T
        damped = normal.shared + np.diag(np.diag(normal.shared) * damping)
        schur = damped - towards @ by_shared
        shared = -cho_solve(cho_factor(schur), normal.shared_gradient + towards @ frame)
        frame = frame - by_shared @ shared
    return frame.reshape(count, columns), shared


def _banded(
    normal: Normal, coupling: Band, held: Bool[np.ndarray, "T P"], damping: float
) -> tuple[np.ndarray, Float[np.ndarray, "T P"]]:
    """The timesteps' matrix in LAPACK's upper banded form, and its diagonal."""
    count, columns = normal.frame_gradient.shape
    width = max(columns - 1, coupling.reach * columns)
    matrix = np.zeros((width + 1, count, columns))
    for row in range(columns):
        for column in range(row, columns):
            matrix[width + row - column, :, column] = normal.frame[:, row, column]
    matrix[width] += coupling.couplings[0][:, None] * coupling.precision
    # The small number keeps a timestep without any visible landmark solvable.
    matrix[width] = (matrix[width] + 1e-6) * np.where(held, FIXED, 1 + damping)
    diagonal = matrix[width].copy()
    for distance in range(1, coupling.reach + 1):
        entry = coupling.couplings[distance][:, None] * coupling.precision
        matrix[width - distance * columns, distance:] += entry
    return matrix.reshape(width + 1, count * columns), diagonal
