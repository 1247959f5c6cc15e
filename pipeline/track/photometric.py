"""Photometric refinement: the motion that lets every point of the skin keep its colour.

Landmarks say where the face is, but their amplitudes come out too small and their habits change
with the view. Points of the skin, once their colours are learnt from tracked frames, tell how the
face moves from frame to frame to a fraction of a pixel. What they cannot tell is where on the
head a colour belongs: that stays the landmarks' word, so they are kept in the cost.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from pipeline.parallel import threaded
from pipeline.track import appearance, stages, sums, windows
from pipeline.track.appearance import Appearance
from pipeline.track.looks import Frames, Looks, look
from pipeline.track.problem import (
    CHUNK,
    EXPR,
    Evidence,
    Free,
    Normal,
    Observations,
    Problem,
    State,
)
from pipeline.track.skin import Skin

log = logging.getLogger(__name__)

SHARE = 0.06  # neighbouring points err together: each counts as this much of one
OUTLIER = 2.5  # residual in standard deviations from which a point loses its say
LOOKS = 128  # frames that colours are learnt from, spread over time


@dataclass(frozen=True)
class Round:
    """Colours are learnt, then all timesteps are solved once.

    Attributes:
        blur: of the frames, pixels; the way a point may go is about as long.
        iterations: most Gauss-Newton steps.
    """

    blur: float
    iterations: int


ROUNDS = (Round(2.0, 3), Round(1.0, 3))
MOTION = ("pose", "jaw", "eyes", "expr")


def refine(problem: Problem, state: State, skin: Skin, frame: Frames) -> State:
    """Refine the motion by the colours of the skin; what is shared stays.

    Args:
        problem: of landmarks, which stay in the cost with the priors and smoothness.
        state: solved by landmarks, within a few pixels of the truth.
    """
    for number, part in enumerate(ROUNDS):
        before = state
        learnt = learn(problem.observations, state, skin, frame, part.blur)
        problem.reweight(state)
        seen = problem.with_evidence(gather(problem, state, skin, learnt, frame, part.blur))
        free = stages.free(stages.Stage("", MOTION, part.iterations), seen, known_focal=True)
        state = windows.solve(seen, state, free, part.iterations)
        state = replace(state, bias=stages.learn_bias(problem, state))
        chosen = _spread(problem.observations)
        moved = np.linalg.norm(
            skin.world(state.at(chosen)) - skin.world(before.at(chosen)), axis=-1
        )
        log.info("track: photometric %d: skin moved by %.2f mm", number + 1, 1e3 * moved.mean())
    return state


def learn(
    observed: Observations, state: State, skin: Skin, frame: Frames, blur: float
) -> Appearance:
    """The skin's colours in some frames, spread over time."""
    looks = list(_looks(observed, state, skin, frame, blur, _spread(observed)))
    return appearance.learn(
        np.concatenate([some.values for some in looks]),
        np.concatenate([some.visible for some in looks]),
        np.concatenate([some.normals for some in looks]),
    )


def gather(
    problem: Problem,
    state: State,
    skin: Skin,
    learnt: Appearance,
    frame: Frames,
    blur: float,
) -> Evidence:
    """What every frame says of the motion, given the colours."""
    count, columns = len(problem.observations), EXPR + skin.points.num_expr
    hessian = np.empty((count, columns, columns), np.float32)
    gradient = np.empty((count, columns), np.float32)

    def work(part: Int[np.ndarray, "B"]) -> None:
        looks = look(skin, problem.observations, state, part, frame, blur)
        pixels = Pixels(skin, problem.observations.at(part), problem, looks, learnt)
        hessian[part], gradient[part] = pixels.quadratic(state.at(part))

    for _ in threaded(work, _parts(np.arange(count))):
        pass
    return Evidence(state, hessian, gradient)


class Pixels(Problem):
    """The cost of colours that differ from the learnt ones, linear in the points' pixels.

    A point is a landmark whose information comes from the image's slopes: `g^T w g` in place of
    a landmark's precision, in two channels.
    """

    def __init__(
        self,
        skin: Skin,
        observed: Observations,
        problem: Problem,
        looks: Looks,
        learnt: Appearance,
    ) -> None:
        """Set up; `observed` are the timesteps of `looks`."""
        nowhere = np.zeros((*observed.seen.shape, len(skin), 2))
        super().__init__(
            skin.points, replace(observed, points=nowhere), problem.priors, problem.bounds
        )
        self.looks = looks
        difference = looks.values - learnt.predict(looks.normals)
        relative = difference / learnt.deviation
        weight = SHARE / learnt.deviation**2 / (1 + (relative / OUTLIER) ** 2) ** 2
        self.difference = np.where(looks.visible[..., None], difference, 0).astype(np.float32)
        self.weight = np.where(looks.visible[..., None], weight, 0).astype(np.float32)

    def quadratic(
        self, piece: State
    ) -> tuple[Float[np.ndarray, "B P0 P0"], Float[np.ndarray, "B P0"]]:
        """Hessian (Gauss-Newton's) and gradient by all unknowns of the timesteps."""
        count, columns = len(piece.expr), EXPR + self.model.num_expr
        free = Free(np.arange(columns), np.zeros(0, int))
        normal = Normal(
            np.empty((count, columns, columns)), np.empty((count, columns, 0)), np.zeros((0, 0)),
            np.empty((count, columns)), np.zeros(0),
        )  # fmt: skip
        bias = np.zeros((self.points.shape[1], self.model.num_landmarks, 2))
        self._accumulate(replace(piece, bias=bias), np.arange(count), free, normal)
        return normal.frame, normal.frame_gradient

    def _information(
        self,
        piece: State,
        part: Int[np.ndarray, "B"],
        seen: Float[np.ndarray, "B C L 3"],
    ) -> tuple[Float[np.ndarray, "B L 4 4"], Float[np.ndarray, "B L 4"]]:
        rows = self.looks.slopes[part] @ self._pixel_jacobian(piece, seen)
        return sums.information(rows, self.weight[part], self.difference[part])


def difference(
    observed: Observations,
    state: State,
    skin: Skin,
    learnt: Appearance,
    frame: Frames,
    blur: float,
) -> float:
    """Mean distance of brightness from the learnt one, robustly: per cent, cut off at 30."""
    parts = [
        np.abs(some.values - learnt.predict(some.normals))[some.visible, 0]
        for some in _looks(observed, state, skin, frame, blur, np.arange(len(observed)))
    ]
    return 100 * float(np.minimum(np.concatenate(parts), 0.3).mean())


def _spread(observed: Observations) -> Int[np.ndarray, "B"]:
    count = int(LOOKS / observed.seen.sum(1).mean())
    return np.unique(np.linspace(0, len(observed) - 1, count).round().astype(int))


def _looks(
    observed: Observations,
    state: State,
    skin: Skin,
    frame: Frames,
    blur: float,
    timesteps: Int[np.ndarray, "B"],
) -> Iterator[Looks]:
    return threaded(lambda part: look(skin, observed, state, part, frame, blur), _parts(timesteps))


def _parts(timesteps: Int[np.ndarray, "B"]) -> list[Int[np.ndarray, "b"]]:
    return [timesteps[i : i + CHUNK] for i in range(0, len(timesteps), CHUNK)]
