"""Long motions are solved window by window: memory is bounded, and two cores have work."""

import itertools
import math

import numpy as np

from pipeline.parallel import threaded
from pipeline.track import solver
from pipeline.track.problem import Free, Problem, State

SIZE = 256  # timesteps of a window at most; fixed, so that threads do not change results
CONTEXT = 24  # timesteps solved on either side and not kept: smoothness forgets what is beyond


def solve(problem: Problem, state: State, free: Free, iterations: int) -> State:
    """Lower the cost: in windows where all that is free moves on its own at every timestep.

    Where something shared is free, everything is one window.
    """
    count = len(problem.observations)
    pieces = math.ceil(count / SIZE)
    if pieces == 1 or len(free.shared):
        return solver.solve(problem, state, free, iterations)
    edges = [count * piece // pieces for piece in range(pieces + 1)]

    def work(kept: tuple[int, int]) -> State:
        start, stop = max(0, kept[0] - CONTEXT), min(count, kept[1] + CONTEXT)
        window = problem.window(start, stop)
        solved = solver.solve(window, state.at(np.arange(start, stop)), free, iterations)
        return solved.at(np.arange(kept[0], kept[1]) - start)

    for kept, part in zip(
        itertools.pairwise(edges), threaded(work, itertools.pairwise(edges)), strict=True
    ):
        state = state.with_part(np.arange(*kept), part)
    return state
