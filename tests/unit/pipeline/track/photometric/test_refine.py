"""A painted head with known truth: colours, derivatives, and the way back to the truth."""

from dataclasses import replace

import numpy as np
import pytest

from avatar.rig import HeadRig
from pipeline.track.photometric import refine, samples
from pipeline.track.solve import rotations, stages
from pipeline.track.solve.kernels import EXPR
from pipeline.track.solve.priors import Evidence
from pipeline.track.solve.state import Free, State
from tests.unit.pipeline.track.painted import Painted, lit, painted, seen_at


@pytest.fixture(scope="module")
def head(anny_rig: HeadRig) -> Painted:
    return painted(anny_rig, 1)


def test_on_a_perfect_track_colours_come_back(head: Painted) -> None:
    observed = head.problem.observations
    views = samples.views(head.skin, observed, head.truth, head.frame)
    learnt = refine.learn(observed, head.truth, head.skin, views, 0.5)
    known = np.isfinite(learnt.deviation).all(1)
    assert known.sum() > 600
    verts = head.skin.world(head.truth)
    normals = np.stack([head.skin.normals(posed) for posed in verts])
    got = learnt.predict(normals)[:, 0, known]
    true = 255 * (head.albedo() * lit(normals)[..., None])[:, known] + samples.DARK
    # Albedo and light are not told apart by a head that hardly turns; their product counts. The
    # pixels and the triangles take some of the contrast, which is 0.2.
    assert np.median(np.abs(got[..., 0] - np.log(true @ np.array(samples.LUMA)))) < 0.04
    assert np.median(np.abs(got[..., 1] - np.log(true[..., 0] / true[..., 1]))) < 0.04
    off = refine.difference(observed, head.truth, head.skin, views, learnt, 0.5)
    assert off < 1.5  # per cent


def test_evidence_against_finite_differences(head: Painted) -> None:
    """The gradient of half the weighted squares, weights and visibility held."""
    blur = 3.0
    step = np.array([5])
    state = replace(head.truth, expr=head.truth.expr * 0.7).at(step)
    every, observed = head.problem.observations, head.problem.observations.at(step)
    views = samples.views(head.skin, every, head.truth, head.frame)
    learnt = refine.learn(every, head.truth, head.skin, views, blur)

    def seen(at: State) -> samples.Samples:
        return samples.sample(head.skin, observed, at, views[5:6], blur)

    here = seen(state)
    pixels = refine.Pixels(head.skin, observed, head.problem, here, learnt)
    # Points that a small step may hide or show are left out.
    pixels.weight[~_stays_visible(seen, state)] = 0
    hessian, gradient = pixels.quadratic(state)
    predicted = learnt.predict(here.normals)

    def cost(at: State) -> float:
        return float((pixels.weight * (seen(at).values - predicted) ** 2).sum()) / 2

    size = 2e-4
    for unknown in (0, 1, 3, 4, 6, *np.argsort(-np.abs(gradient[0, EXPR:]))[:4] + EXPR):
        ahead, behind = (cost(_moved(state, unknown, way)) for way in (size, -size))
        slope = (ahead - behind) / (2 * size)
        assert gradient[0, unknown] == pytest.approx(
            slope, rel=0.1, abs=0.02 * np.sqrt(hessian[0, unknown, unknown])
        )
    assert np.linalg.eigvalsh(hessian[0]).min() > -1e-3 * np.abs(hessian).max()


def _moved(state: State, unknown: int, size: float) -> State:
    step = np.zeros(EXPR + state.expr.shape[1])
    step[unknown] = size
    return replace(
        state,
        rotation=state.rotation @ rotations.exp(step[None, :3]),
        centre=state.centre + step[3:6],
        hinges=state.hinges + step[6:15],
        expr=state.expr + step[15:],
    )


def test_a_window_sees_its_own_frames(head: Painted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth stays where it is, wherever windows are cut; with others' frames it would not."""
    asked: set[int] = set()

    def frame(timestep: int, camera: int) -> np.ndarray:
        asked.add(timestep)
        return head.frame(timestep, camera)

    monkeypatch.setattr(refine.windows, "SIZE", 9)
    monkeypatch.setattr(refine.windows, "CONTEXT", 2)
    refined = refine.refine(head.problem, head.truth, head.skin, frame)
    assert asked == set(range(len(head.truth.expr)))
    moved = head.skin.world(refined) - head.skin.world(head.truth)
    assert np.linalg.norm(moved, axis=-1).mean(1).max() < 1e-3  # m


def _stays_visible(seen, state: State) -> np.ndarray:
    columns = range(EXPR + state.expr.shape[1])
    ways = [_moved(state, unknown, size) for unknown in columns for size in (2e-4, -2e-4)]
    return np.logical_and.reduce([seen(way).visible for way in ways])


def test_evidence_enters_cost_and_derivatives_alike(head: Painted) -> None:
    """A made-up quadratic: the cost rises as it says, and so does the gradient."""
    rng = np.random.default_rng(0)
    count, columns = len(head.truth.expr), EXPR + head.truth.expr.shape[1]
    root = rng.normal(size=(count, columns, columns))
    evidence = Evidence(head.truth, root @ root.swapaxes(1, 2), rng.normal(size=(count, columns)))
    head.problem.reweight(head.truth)
    seen = head.problem.with_evidence(evidence)
    free = Free(np.arange(3, columns), np.zeros(0, int))
    step = 1e-3 * rng.normal(size=(count, columns))
    step[:, :3] = 0
    other = replace(
        head.truth, centre=head.truth.centre + step[:, 3:6],
        hinges=head.truth.hinges + step[:, 6:15], expr=head.truth.expr + step[:, 15:],
    )  # fmt: skip
    added = seen.cost(other) - head.problem.cost(other)
    curved = np.einsum("tp,tpq,tq->", step, evidence.hessian, step) / 2
    assert added == pytest.approx(curved + (step * evidence.gradient).sum(), rel=1e-6)
    with_, without = (p.linearise(other, free) for p in (seen, head.problem))
    force = evidence.gradient + np.einsum("tpq,tq->tp", evidence.hessian, step)
    assert np.allclose(with_.frame_gradient - without.frame_gradient, force[:, 3:], atol=1e-3)
    assert np.allclose(with_.frame - without.frame, evidence.hessian[:, 3:, 3:], atol=0.1)


@pytest.mark.parametrize("cams", [1, 3])
def test_colours_lead_nearer_to_the_truth_than_landmarks(anny_rig: HeadRig, cams: int) -> None:
    """Landmarks that move by 60 % of the way, as a detector's do, with the noise of one."""
    head = painted(anny_rig, cams)
    problem, truth = head.problem, head.truth
    true = problem.observations.points
    calm = replace(truth, expr=0.6 * truth.expr + 0.4 * truth.expr.mean(0))
    damped = problem.project(calm, problem.in_cameras(calm))
    noise = np.random.default_rng(1).normal(size=true.shape)
    problem = seen_at(problem, damped + 0.5 * noise)
    start = stages.run(
        problem, replace(truth, expr=np.zeros_like(truth.expr)), True,
        (stages.Stage("motion", ("pose", "jaw", "eyes", "expr"), 10),),
    )  # fmt: skip
    refined = refine.refine(problem, start, head.skin, head.frame)

    def error(state: State) -> float:
        off = head.skin.world(state) - head.skin.world(truth)
        return float(np.linalg.norm(off - off.mean((0, 1)), axis=-1).mean())

    def slope(state: State) -> float:
        return float((truth.expr * (state.expr - state.expr.mean(0))).sum()) / float(
            (truth.expr * (truth.expr - truth.expr.mean(0))).sum()
        )

    assert error(refined) < 0.75 * error(start)
    assert abs(1 - slope(refined)) < 0.6 * abs(1 - slope(start))
    assert slope(refined) > slope(start)
