"""Photometric refinement: the motion that lets every point of the skin keep its colour.

Landmarks say where the face is, but their amplitudes come out too small and their habits change
with the view. Points of the skin, once their colours are learnt from tracked frames, tell how the
face moves from frame to frame to a fraction of a pixel. What they cannot tell is where on the
head a colour belongs: that only the landmarks tell, so they are kept in the cost.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from pipeline.common.parallel import threaded
from pipeline.track.photometric import appearance, samples
from pipeline.track.photometric.appearance import Appearance
from pipeline.track.photometric.samples import Frames, Samples, View, Views, sample
from pipeline.track.photometric.skin import Skin
from pipeline.track.solve import kernels, solver, stages, windows
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.priors import Evidence
from pipeline.track.solve.problem import Problem, parts
from pipeline.track.solve.state import Free, Normal, State

log = logging.getLogger(__name__)

SHARE = 0.06  # neighbouring points err together: each counts as this much of one
OUTLIER = 2.5  # residual in standard deviations from which a point is an outlier
FRAMES = 128  # frames that colours are learnt from, spread over time


@dataclass(frozen=True)
class Round:
    """Colours are learnt, and timesteps solved by them once.

    Attributes:
        blur: of the frames, pixels; the way a point may go is about as long.
        iterations: most Gauss-Newton steps.
    """

    blur: float
    iterations: int


ROUNDS = (Round(2.0, 1), Round(1.0, 2))


def refine(
    problem: Problem,
    state: State,
    skin: Skin,
    frame: Frames,
    training: Int[np.ndarray, "K"] | None = None,
) -> State:
    """Refine the motion by the colours of the skin; what is shared stays.

    The rounds are gone through with a sample of the timesteps first, whose frames teach the
    colours, and then window by window, whose frames are read once.

    Args:
        problem: of landmarks, which stay in the cost with the priors and smoothness.
        state: solved by landmarks, within a few pixels of the truth.
        training: timesteps whose frames may teach the colours; all by default.
    """
    observed = problem.observations
    everything = np.arange(len(observed)) if training is None else training
    chosen = everything[_spread(observed.at(everything))]

    def cut(steps: Int[np.ndarray, "B"]) -> dict[int, dict[int, View]]:
        views = cut_views(
            observed.at(steps),
            state.at(steps),
            skin,
            lambda t, camera: frame(int(steps[t]), camera),
        )
        return dict(zip(steps.tolist(), views, strict=True))

    sample = cut(chosen)
    learnt, bias = _sampled(problem.at(chosen), state.at(chosen), skin, list(sample.values()))

    def work(window: Problem, part: State, start: int) -> State:
        steps = np.arange(start, start + len(part.expr))
        seen = sample | cut(steps[~np.isin(steps, chosen)])
        views = [seen[step] for step in steps.tolist()]
        for number, step in enumerate(ROUNDS):
            part = replace(part, bias=bias[number])
            part = _solve(window, part, skin, views, learnt[number], step)
        return part

    refined = windows.each(problem, state, work)
    problem.reweight(refined)
    refined = replace(refined, bias=stages.learn_bias(problem, refined))
    moved = np.linalg.norm(skin.world(refined.at(chosen)) - skin.world(state.at(chosen)), axis=-1)
    log.info("track: photometric: skin moved by %.2f mm", 1e3 * moved.mean())
    return refined


def _sampled(
    sample: Problem, state: State, skin: Skin, seen: Views
) -> tuple[list[Appearance], list[Float[np.ndarray, "C L 2"]]]:
    """The skin's colours and the landmarks' constant errors at the start of every round."""
    learnt, bias = [], []
    for number, step in enumerate(ROUNDS):
        bias.append(state.bias)
        learnt.append(learn(sample.observations, state, skin, seen, step.blur))
        if number + 1 < len(ROUNDS):
            state = _solve(sample, state, skin, seen, learnt[-1], step)
            state = replace(state, bias=stages.learn_bias(sample, state))
    return learnt, bias


def _solve(
    problem: Problem, state: State, skin: Skin, seen: Views, learnt: Appearance, step: Round
) -> State:
    """One round: the colours become evidence, by which the motion is solved."""
    problem.reweight(state)
    problem = problem.with_evidence(gather(problem, state, skin, seen, learnt, step.blur))
    free = stages.free(stages.Stage("", stages.MOVING, step.iterations), problem, known_focal=True)
    return solver.solve(problem, state, free, step.iterations)


def learn(observed: Observations, state: State, skin: Skin, seen: Views, blur: float) -> Appearance:
    """The skin's colours in some frames."""
    found = list(samples_of(observed, state, skin, seen, blur))
    return appearance.learn(
        np.concatenate([some.values for some in found]),
        np.concatenate([some.visible for some in found]),
        np.concatenate([some.normals for some in found]),
    )


def gather(
    problem: Problem, state: State, skin: Skin, seen: Views, learnt: Appearance, blur: float
) -> Evidence:
    """What every frame tells about the motion, given the colours."""
    count, columns = len(problem.observations), EXPR + skin.points.num_expr
    hessian = np.empty((count, columns, columns), np.float32)
    gradient = np.empty((count, columns), np.float32)

    def work(part: Int[np.ndarray, "B"]) -> None:
        observed, piece = problem.observations.at(part), state.at(part)
        found = sample(skin, observed, piece, [seen[t] for t in part], blur)
        pixels = Pixels(skin, observed, problem, found, learnt)
        hessian[part], gradient[part] = pixels.quadratic(piece)

    for _ in threaded(work, problem.parts()):
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
        found: Samples,
        learnt: Appearance,
    ) -> None:
        """Set up; `observed` are the timesteps of the samples."""
        nowhere = np.zeros((*observed.seen.shape, len(skin), 2))
        super().__init__(
            skin.points, replace(observed, points=nowhere), problem.priors, problem.bounds
        )
        self.samples = found
        difference = found.values - learnt.predict(found.normals)
        relative = difference / learnt.deviation
        weight = SHARE / learnt.deviation**2 / (1 + (relative / OUTLIER) ** 2) ** 2
        self.difference = np.where(found.visible[..., None], difference, 0).astype(np.float32)
        self.weight = np.where(found.visible[..., None], weight, 0).astype(np.float32)

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
        rows = self.samples.slopes[part] @ self._pixel_jacobian(piece, seen)
        return kernels.information(rows, self.weight[part], self.difference[part])


def difference(
    observed: Observations,
    state: State,
    skin: Skin,
    seen: Views,
    learnt: Appearance,
    blur: float,
) -> float:
    """Mean distance of brightness from the learnt one, robustly: per cent, cut off at 30."""
    misses = [
        np.abs(some.values - learnt.predict(some.normals))[some.visible, 0]
        for some in samples_of(observed, state, skin, seen, blur)
    ]
    return 100 * float(np.minimum(np.concatenate(misses), 0.3).mean())


def _spread(observed: Observations) -> Int[np.ndarray, "B"]:
    count = int(FRAMES / observed.seen.sum(1).mean())
    return np.unique(np.linspace(0, len(observed) - 1, count).round().astype(int))


def cut_views(
    observed: Observations,
    state: State,
    skin: Skin,
    frame: Frames,
) -> Views:
    """As `samples.views`, in threads."""

    def work(part: Int[np.ndarray, "B"]) -> Views:
        return samples.views(
            skin, observed.at(part), state.at(part), lambda t, camera: frame(int(part[t]), camera)
        )

    return [view for found in threaded(work, parts(len(observed))) for view in found]


def samples_of(
    observed: Observations, state: State, skin: Skin, seen: Views, blur: float
) -> Iterator[Samples]:
    """As `samples.sample`, in threads, part by part."""
    return threaded(
        lambda part: sample(skin, observed.at(part), state.at(part), [seen[t] for t in part], blur),
        parts(len(observed)),
    )
