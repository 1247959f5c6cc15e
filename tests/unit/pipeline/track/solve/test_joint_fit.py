from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.data.reader import FrameStore
from avatar.rig import HeadRig
from pipeline.track.outline import torso
from pipeline.track.outline.silhouette import Rim
from pipeline.track.settings import Priors
from pipeline.track.solve import joint_fit, rotations, stages
from pipeline.track.solve.held_out import HeldOut
from pipeline.track.solve.joint_fit import Fit
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State
from tests.rigs import without_response
from tests.unit.pipeline.track.capture import cameras, toy, write_store

STEPS, NOISE = 48, 2.0  # timesteps, pixels


def _truth(rig: HeadRig, landmarks: int, cams: int) -> State:
    """Somebody with blinks, smiles, a talking jaw and wandering eyes."""
    rng = np.random.default_rng(0)
    time = np.arange(STEPS) / 30
    wave = np.sin(2 * np.pi * time[:, None] * rng.uniform(0.6, 1.5, 12) + rng.uniform(0, 6, 12))
    expr = np.zeros((STEPS, rig.num_expr))
    for place, name in enumerate(("mouthSmileLeft", "mouthSmileRight", "browInnerUp")):
        expr[:, rig.expr_names.index(name)] = 0.4 + 0.35 * wave[:, place]
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        expr[:, rig.expr_names.index(name)] = np.clip(wave[:, 3], 0, 1)
    hinges = np.zeros((STEPS, 9))
    hinges[:, 0] = 0.15 + 0.12 * wave[:, 4]
    hinges[:, [4, 7]] = 0.25 * wave[:, 5:6]
    return State(
        0.7 * rng.normal(size=rig.num_shape), 0.0, rotations.exp(0.12 * wave[:, 6:9]),
        0.01 * wave[:, 9:12], hinges, expr, np.zeros((cams, landmarks, 2)),
    )  # fmt: skip


@pytest.mark.parametrize(("cams", "millimetres"), [(5, 0.6), (1, 2.0)])
def test_the_truth_comes_back(anny_rig: HeadRig, cams: int, millimetres: float) -> None:
    model = joint_fit.landmark_model(without_response(anny_rig))
    truth = _truth(anny_rig, model.num_landmarks, cams)
    Ks, viewmats = cameras(cams)
    Ks[:, [0, 1], [0, 1]] = 700  # a head of 512 pixels
    blank = Observations(
        np.zeros((STEPS, cams, model.num_landmarks, 2)), np.ones((STEPS, cams), bool), Ks,
        viewmats, np.arange(STEPS) / 30, np.zeros(STEPS, int),
    )  # fmt: skip
    seen = Problem(model, blank, Priors(), stages.bounds(anny_rig))
    pixels = seen.project(truth, seen.in_cameras(truth))
    noise = NOISE * np.random.default_rng(1).normal(size=pixels.shape)
    # What is known of the noise: it is white, and no habit of a detector.
    priors = Priors(evidence=1.0, shape=0.7, bias=0.01)
    got = joint_fit.by_landmarks(
        anny_rig, model, replace(blank, points=pixels + noise), cams > 1, priors
    ).state
    for mine, true in (
        (got.hinges[:, 0], truth.hinges[:, 0]),
        (got.hinges[:, 4], truth.hinges[:, 4]),
        *((got.expr[:, i], truth.expr[:, i]) for i in np.flatnonzero(truth.expr.std(0))),
    ):
        assert np.corrcoef(mine, true)[0, 1] > 0.9
    mine, true = (seen.head(state).reshape(STEPS, -1, 3) for state in (got, truth))
    mine, true = (points - points.mean(1, keepdims=True) for points in (mine, true))
    if cams == 1:  # one camera cannot tell a large head from a near one
        mine = mine * (mine * true).sum() / (mine * mine).sum()
    assert 1e3 * np.linalg.norm(mine - true, axis=-1).mean() < millimetres


def test_a_torso_that_is_hardly_seen_turns_with_the_head(tmp_path: Path) -> None:
    """One sighting short of what is asked for, and that many."""
    count = 4
    scene = toy(timesteps=count, cams=1)
    write_store(tmp_path / "frames.h5", [np.zeros((8, 8, 3), np.uint8)] * count, 1, count)
    offset, nod = np.zeros((scene.rig.num_verts, 3)), np.zeros((count, 3))
    track = Fit(
        scene.rig, scene.problem, scene.truth, np.ones(count, bool), HeldOut.nothing(count), offset,
        nod,
    )  # fmt: skip
    low = int(np.flatnonzero(scene.rig.masks["neck"].numpy())[0])
    enough = torso.ENOUGH * count
    with FrameStore(tmp_path / "frames.h5") as store:
        heading = torso.Heading.of(track.whole(store).rotation, np.zeros(count, int))
        for sightings in (enough - 1, enough):
            rim = Rim(
                np.full(sightings, low), np.tile([[1.0, 0, 0]], (sightings, 1)),
                np.zeros(sightings), np.arange(sightings) % count,
            )  # fmt: skip
            turned, share = joint_fit._with_neck(track, store, heading, rim, count)
            assert (share > 0) == turned.nod.any() == (sightings == enough)
