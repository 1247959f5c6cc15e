from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.track.settings import Priors
from pipeline.track.solve import rotations, solver, stages, windows
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State
from tests.unit.pipeline.track.capture import toy

MOVING = stages.Stage("", stages.MOVING, 30)


def start(count: int) -> tuple[Problem, State]:
    scene = toy(timesteps=count, cams=1, noise=1.0, priors=Priors(evidence=0.05))
    rng = np.random.default_rng(1)
    off = rotations.exp(0.05 * rng.normal(size=(count, 3)))
    state = scene.problem.initial(scene.truth.rotation @ off, scene.truth.centre)
    state = replace(state, shape=scene.truth.shape)
    scene.problem.reweight(state)
    return scene.problem, state


def converged(solve: Callable[..., State], problem: Problem, state: State) -> State:
    """A solve stops when a step gains little: several start where the last one stopped."""
    for _ in range(8):
        state = solve(problem, state, stages.free(MOVING, problem, known_focal=True), 30)
    return state


def turned(one: State, other: State) -> float:
    """The most that two solutions' heads are turned against each other, degrees."""
    off = rotations.log(one.rotation.swapaxes(1, 2) @ other.rotation)
    return float(np.degrees(np.linalg.norm(off, axis=1)).max())


def test_windows_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, state = start(150)
    whole = converged(solver.solve, problem, state)
    monkeypatch.setattr(windows, "SIZE", 50)
    parted = converged(windows.solve, problem, state)
    assert turned(parted, whole) < 0.2
    assert np.abs(parted.expr - whole.expr).max() < 0.02

    # Without context the seams show: the tolerances above notice.
    monkeypatch.setattr(windows, "CONTEXT", 0)
    torn = converged(windows.solve, problem, state)
    assert turned(torn, whole) > 1


def test_a_windows_work_is_told_where_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, state = start(40)
    monkeypatch.setattr(windows, "SIZE", 20)
    monkeypatch.setattr(windows, "CONTEXT", 3)

    def work(window: Problem, part: State, first: int) -> State:
        count = len(window.observations)
        assert (window.observations.time == problem.observations.time[first:][:count]).all()
        return replace(part, expr=part.expr + np.arange(first, first + count)[:, None], zoom=1.0)

    got = windows.each(problem, state, work)
    assert (got.expr - state.expr == np.arange(40)[:, None]).all()
    assert got.zoom == state.zoom


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, state = start(60)
    monkeypatch.setattr(windows, "SIZE", 20)
    free = stages.free(MOVING, problem, known_focal=True)
    two = windows.solve(problem, state, free, 3)
    monkeypatch.setattr(windows, "threaded", lambda work, jobs: map(work, jobs))
    one = windows.solve(problem, state, free, 3)
    assert one.expr.tobytes() == two.expr.tobytes()
    assert one.rotation.tobytes() == two.rotation.tobytes()


def test_where_something_shared_is_free_all_is_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, state = start(40)
    free = stages.free(stages.Stage("", stages.EVERYTHING, 3), problem, known_focal=True)
    whole = solver.solve(problem, state, free, 3)
    monkeypatch.setattr(windows, "SIZE", 20)
    assert (windows.solve(problem, state, free, 3).expr == whole.expr).all()
