"""Long motions are solved window by window: memory is bounded, and two cores have work."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.common.parallel import threaded
from pipeline.track.solve import solver
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import Free, State

SIZE = 256  # timesteps of a window at most; fixed, so that threads do not change results
CONTEXT = 16  # timesteps solved on either side and not kept: smoothness forgets what is beyond


def solve(problem: Problem, state: State, free: Free, iterations: int) -> State:
    """Lower the cost: in windows where all that is free moves on its own at every timestep.

    Where something shared is free, everything is one window.
    """
    if len(free.shared):
        return solver.solve(problem, state, free, iterations)
    return each(
        problem, state, lambda window, part, _: solver.solve(window, part, free, iterations)
    )


def each(problem: Problem, state: State, work: Callable[[Problem, State, int], State]) -> State:
    """Give every window the state that `work` makes of it.

    Args:
        work: takes a window's problem and state, and its first timestep; only the timesteps'
            own unknowns of what it gives back are kept.
    """
    count = len(problem.observations)
    pieces = math.ceil(count / SIZE)
    edges = [count * piece // pieces for piece in range(pieces + 1)]

    def part(kept: tuple[int, int]) -> State:
        start, stop = max(0, kept[0] - CONTEXT), min(count, kept[1] + CONTEXT)
        window = problem.window(start, stop)
        solved = work(window, state.at(np.arange(start, stop)), start)
        return solved.at(np.arange(kept[0], kept[1]) - start)

    result = state
    for kept, solved in zip(
        itertools.pairwise(edges), threaded(part, itertools.pairwise(edges)), strict=True
    ):
        result = result.with_part(np.arange(*kept), solved)
    return replace(result, shape=state.shape, zoom=state.zoom, bias=state.bias)
