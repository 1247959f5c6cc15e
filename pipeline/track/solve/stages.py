"""The order in which unknowns are let go: data, and the loop that follows it."""

import logging
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from avatar.rig import HeadRig
from pipeline.track.solve import windows
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import CENTRE, EYES, JAW, ROTATION, Free, State

log = logging.getLogger(__name__)

JAW_RANGE = ((-0.02, 0.5), (-0.1, 0.1))  # rad: opening, sideways
PRINCIPAL_RANGE = (-3.0, 3.0)  # of expressions that are directions of unit variance
EYE_RANGE = ((-0.35, 0.35), (-0.55, 0.55))  # rad: down positive, subject's left positive

# How freely an action moves, by how its name begins; the rest by 1. Landmarks see lids, smiles,
# brows and puckers well. What they see badly explains away what they see well unless it is held.
EASE = {
    "eyeBlink": 4.0, "mouthSmile": 2.0, "mouthPucker": 2.0, "browInnerUp": 1.5,
    "cheekPuff": 0.1, "cheekSquint": 0.5, "noseSneer": 0.5, "tongueOut": 0.1,
}  # fmt: skip
PRINCIPAL_EASE = 2.5  # the prior's 0.4 of an action's full strength is one deviation here


@dataclass(frozen=True)
class Stage:
    """One solve.

    Attributes:
        name: for the log.
        free: of `pose`, `jaw`, `eyes`, `expr`, `shape`, `focal`.
        iterations: most Gauss-Newton steps.
        timesteps: solve at this many, spread evenly, instead of all.
        bias: afterwards, learn each camera's constant error of every landmark.
    """

    name: str
    free: tuple[str, ...]
    iterations: int
    timesteps: int | None = None
    bias: bool = False


EVERYTHING = ("pose", "jaw", "eyes", "expr", "shape", "focal")
MOVING = ("pose", "jaw", "eyes", "expr")
# What all timesteps share is learnt from a sample of them,
SAMPLE = 128
SHARED = (
    Stage("pose", ("pose",), 8),
    Stage("identity", EVERYTHING, 15, timesteps=64),
    Stage("motion", MOVING, 10, bias=True),
    Stage("identity, less bias", EVERYTHING, 8, timesteps=64),
    Stage("motion, less bias", MOVING, 10, bias=True),
)
BY_OUTLINES = (
    Stage("identity by outlines", EVERYTHING, 8, timesteps=64),
    Stage("motion by outlines", MOVING, 6, bias=True),
)
# and then everything moves at all of them.
MOTION = (Stage("motion at all times", MOVING, 6),)


def bounds(rig: HeadRig) -> Float[np.ndarray, "2 D"]:
    """Lowest and highest hinges (rad) and blendshapes: the jaw is a hinge, the eyes do not roll."""
    hinges = [*JAW_RANGE, (0, 0), *EYE_RANGE, (0, 0), *EYE_RANGE, (0, 0)]
    expr = PRINCIPAL_RANGE if rig.principal_expr else (0.0, 1.0)
    return np.array([*hinges, *[expr] * rig.num_expr]).T


def blinks(rig: HeadRig) -> tuple[int, int] | None:
    """Coefficients that close the left and the right eye, by their ARKit names."""
    names = ("eyeBlinkLeft", "eyeBlinkRight")
    if not set(names) <= set(rig.expr_names):
        return None
    return rig.expr_names.index(names[0]), rig.expr_names.index(names[1])


def ease(rig: HeadRig) -> Float[np.ndarray, "E"]:
    """How freely each of a rig's expressions moves, by its ARKit name.

    Principal directions have their own measure, unit variance, in which they move alike.
    """
    if rig.principal_expr:
        return np.full(rig.num_expr, PRINCIPAL_EASE)
    starts = [
        next((start for start in EASE if name.startswith(start)), "") for name in rig.expr_names
    ]
    return np.array([EASE.get(start, 1.0) for start in starts])


def free(stage: Stage, problem: Problem, known_focal: bool) -> Free:
    """The indices of a stage's free unknowns. What has no range stays out of the system."""
    last = EXPR + problem.model.num_expr
    groups = {
        "pose": (*_indices(ROTATION), *_indices(CENTRE)),
        "jaw": _indices(JAW),
        "eyes": _indices(EYES),
        "expr": tuple(range(EXPR, last)),
    }
    frame = [index for name in stage.free for index in groups.get(name, ())]
    fixed = problem.bounds[0] == problem.bounds[1]
    frame = [index for index in frame if index < JAW.start or not fixed[index - JAW.start]]
    shared = [*range(problem.model.num_shape)] if "shape" in stage.free else []
    if "focal" in stage.free and not known_focal:
        shared.append(problem.model.num_shape)
    return Free(np.array(frame, int), np.array(shared, int))


def _indices(part: slice) -> tuple[int, ...]:
    return tuple(range(part.start, part.stop))


def run(
    problem: Problem,
    state: State,
    known_focal: bool,
    shared: tuple[Stage, ...] = SHARED,
    training: Int[np.ndarray, "K"] | None = None,
) -> State:
    """Solve from a first guess: what is shared at a sample of timesteps, the motion at all.

    Args:
        training: timesteps that may determine what is shared; all by default.
    """
    if training is None:
        state = _at_sample(SAMPLE, shared, problem, state, known_focal)
    else:
        part = problem.at(training), state.at(training)
        state = state.with_part(training, _at_sample(SAMPLE, shared, *part, known_focal))
    return _follow(MOTION, problem, state, known_focal)


def _at_sample(
    most: int, schedule: tuple[Stage, ...], problem: Problem, state: State, known_focal: bool
) -> State:
    """Follow a schedule at some timesteps, spread evenly; the others' motion stays."""
    count = len(problem.observations)
    if count <= most:
        return _follow(schedule, problem, state, known_focal)
    chosen = np.linspace(0, count - 1, most).round().astype(int)
    solved = _follow(schedule, problem.at(chosen), state.at(chosen), known_focal)
    return state.with_part(chosen, solved)


def _follow(
    schedule: tuple[Stage, ...], problem: Problem, state: State, known_focal: bool
) -> State:
    for stage in schedule:
        if stage.timesteps is None:
            log.info("track: %s", stage.name)
            state = _run_stage(stage, problem, state, known_focal)
        else:
            part = (replace(stage, timesteps=None),)
            state = _at_sample(stage.timesteps, part, problem, state, known_focal)
    problem.reweight(state)
    return state


def _run_stage(stage: Stage, problem: Problem, state: State, known_focal: bool) -> State:
    problem.reweight(state)
    state = windows.solve(problem, state, free(stage, problem, known_focal), stage.iterations)
    return replace(state, bias=learn_bias(problem, state)) if stage.bias else state


def learn_bias(problem: Problem, state: State) -> Float[np.ndarray, "C L 2"]:
    """The most probable constant error of each camera's detections of each landmark.

    The weighted mean of the residuals (m at the head's depth), drawn towards zero by the prior
    that the bias is a given share of the landmark's deviation.
    """
    clean = replace(state, bias=np.zeros_like(state.bias))
    total = np.full(state.bias.shape[:2], 1 / problem.priors.bias**2)
    pull = np.zeros_like(state.bias)
    focal = problem.observations.Ks[:, [0, 1], [0, 1]] * np.exp(state.zoom)
    for part in problem.parts():
        piece = clean.at(part)
        seen = problem.in_cameras(piece)
        metres = seen[..., 2:] / focal[:, None]
        residual = problem.points[part] - problem.project(piece, seen)
        remaining = residual - state.bias / metres
        square = (remaining**2).sum(-1) * problem.precision[part]
        weight = problem.confidence[part] / (1 + square / problem.priors.outlier**2) ** 2
        total += weight.sum(0)
        pull += (weight[..., None] * residual * metres).sum(0)
    return pull / total[..., None]
