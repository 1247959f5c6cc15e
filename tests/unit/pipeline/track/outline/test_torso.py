from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar.rig import HeadRig, RigParams
from avatar.rig.controls import CONTROLS
from pipeline.track.outline import silhouette, torso
from pipeline.track.outline.silhouette import Rim
from pipeline.track.solve import rotations
from tests.rigs import NECK, toy_rig
from tests.unit.pipeline.track.outlines import alphas_of, still, toy_cameras

TIMES = 24
TIME = np.arange(TIMES) / 10
CLIP = np.zeros(TIMES, int)
SWING = np.sin(2 * np.pi * TIME / TIME[-1])


@pytest.fixture
def rig() -> HeadRig:
    """The toy rig with shoulders."""
    rig = toy_rig()
    low = rig.masks["neck"]
    x, y, z = rig.v_template[low].T
    rig.v_template[low] = torch.stack([4 * x, NECK[1] + 4 * (y - NECK[1]), 2 * z], 1)
    return rig


def _heading(turning: float, leaning: float) -> torso.Heading:
    away = np.stack([0 * TIME, turning * SWING, leaning * np.cos(7 * TIME)], 1)
    mean = rotations.exp(np.array([0.05, -0.1, 0.02]))
    return torso.Heading.of(mean @ rotations.exp(away), CLIP)


def _angles_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rotations.log(one.swapaxes(1, 2) @ other), axis=1)


def _torso(heading: torso.Heading, nod: np.ndarray) -> np.ndarray:
    return heading.mean @ rotations.exp(heading.away) @ rotations.exp(nod).swapaxes(1, 2)


def _rim(rig: HeadRig, heading: torso.Heading, true: np.ndarray, thick: np.ndarray) -> Rim:
    """Outlines of the shoulders in every direction, as exact geometry has them.

    Args:
        true [T,3,3]: the torso's rotation; thick [V]: of clothes, metres.
    """
    low = np.flatnonzero((rig.skin_weights[:, 0] == 1).numpy())
    arms = rig.v_template.numpy()[low].astype(float) - NECK
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(TIMES, len(low), 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    guessed = _torso(heading, heading.nod(torso.START))
    moved = arms @ (guessed.swapaxes(1, 2) @ true - np.eye(3)).swapaxes(1, 2)
    distances = (moved * directions).sum(2) + thick[low]
    return Rim(
        np.tile(low, TIMES), directions.reshape(-1, 3), distances.ravel(),
        np.repeat(np.arange(TIMES), len(low)),
    )  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_share_and_drift_come_back_under_clothes(rig: HeadRig, share: float) -> None:
    heading = _heading(0.25, 0.1)
    drift = np.stack([0.01 * TIME, 0.02 - 0.015 * TIME, 0.03 * np.sin(TIME)], 1)
    true = heading.mean @ rotations.exp((1 - share) * heading.away + drift)
    thick = 0.01 + 0.1 * np.abs(rig.v_template[:, 0].numpy())
    rim = _rim(rig, heading, true, thick)
    found, wander = torso.solve(rig, np.zeros(3), heading, rim, CLIP, TIME)
    assert found == pytest.approx(share, abs=0.1)
    off = _angles_between(_torso(heading, heading.nod(found, wander)), true)
    start = _angles_between(_torso(heading, heading.nod(torso.START)), true)
    assert off.mean() < 0.015  # half a deviation of the drift: what is known of it holds it back
    assert off.mean() < 0.3 * start.mean()


def test_a_torso_neither_overtakes_its_head_nor_turns_against_it(rig: HeadRig) -> None:
    heading = _heading(0.25, 0.1)
    for beyond, bound in ((-0.6, 0.0), (1.6, 1.0)):
        true = heading.mean @ rotations.exp((1 - beyond) * heading.away)
        rim = _rim(rig, heading, true, np.zeros(rig.num_verts))
        share, _ = torso.solve(rig, np.zeros(3), heading, rim, CLIP, TIME)
        assert share == bound


def test_outliers_have_no_say(rig: HeadRig) -> None:
    """A fifth of the outlines are another thing's."""
    heading = _heading(0.25, 0.1)
    true = heading.mean @ rotations.exp(0.8 * heading.away)
    rim = _rim(rig, heading, true, np.zeros(rig.num_verts))
    wild = np.where(np.arange(len(rim.vertices)) % 5 == 0, 0.05, rim.distances)
    share, drift = torso.solve(rig, np.zeros(3), heading, replace(rim, distances=wild), CLIP, TIME)
    off = _angles_between(_torso(heading, heading.nod(share, drift)), true)
    assert off.mean() < 0.02


def test_a_sequence_without_outlines_has_the_share_and_no_drift(rig: HeadRig) -> None:
    heading = _heading(0.25, 0.1)
    drift = np.array([0.0, 0.0, 0.03])
    true = heading.mean @ rotations.exp(0.5 * heading.away + drift)
    rim = _rim(rig, heading, true, np.zeros(rig.num_verts))
    first = rim.timesteps < TIMES // 2
    rim = Rim(*(array[first] for array in vars(rim).values()))
    clip = (np.arange(TIMES) >= TIMES // 2).astype(int)
    _, found = torso.solve(rig, np.zeros(3), heading, rim, clip, TIME)
    assert found[: TIMES // 2, 2] == pytest.approx(np.full(TIMES // 2, 0.03), abs=0.015)
    assert not found[TIMES // 2 :].any()


def test_drift_forgets_as_its_process_does() -> None:
    """The inverse of the covariance exp(-|t - s| / HOLD) DRIFT^2, sequences apart."""
    time, clip = np.array([0.0, 0.2, 0.9, 0.0, 0.4]), np.array([0, 0, 0, 1, 1])
    apart = np.abs(time[:, None] - time)
    covariance = torso.DRIFT**2 * np.exp(-apart / torso.HOLD) * (clip[:, None] == clip)
    assert torso._slow(clip, time) @ covariance == pytest.approx(np.eye(5), abs=1e-9)


def test_the_neck_keeps_to_its_limits() -> None:
    away = np.array([[0.0, 2.0, 0.0], [0.0, 0.1, 0.0]])
    heading = torso.Heading(np.tile(np.eye(3), (2, 1, 1)), away)
    assert heading.nod(1.0) == pytest.approx(np.array([[0, torso.LIMITS[1], 0], [0, 0.1, 0]]))
    assert heading.nod(0.0) == pytest.approx(np.zeros((2, 3)), abs=1e-9)


def test_heading_is_each_sequences_own() -> None:
    yaw = np.radians([-20, 0, 20, 70, 90, 110])
    turns = rotations.exp(np.stack([0 * yaw, yaw, 0 * yaw], 1))
    heading = torso.Heading.of(turns, np.repeat([0, 1], 3))
    assert np.degrees(heading.away[:, 1]) == pytest.approx([-20, 0, 20, -20, 0, 20])
    assert np.degrees(heading.nod(0.75)[:, 1]) == pytest.approx([-15, 0, 15, -15, 0, 15])


def test_a_moving_torso_is_seen_in_alphas(rig: HeadRig, tmp_path: Path) -> None:
    """Head and torso each lean to the sides in their own time; four cameras see the outline."""
    heading = _heading(0.0, 0.15)
    lean = np.stack([0 * TIME, 0 * TIME, 0.05 * np.sin(1.5 * TIME)], 1)
    true = heading.mean @ rotations.exp(lean)
    rigged = toy_cameras(4)
    rigged.viewmats[:, 2, 3] = 1.0
    rigged.viewmats[:, 1, 3] = -0.1

    def params(nod: np.ndarray) -> RigParams:
        return _played(rig, heading, nod)

    nod = rotations.log(true.swapaxes(1, 2) @ heading.mean @ rotations.exp(heading.away))
    alphas = alphas_of(tmp_path, rig, params(nod), rigged)
    guess = params(heading.nod(torso.START))
    rows = np.arange(4 * TIMES)
    rim = silhouette.measure(rig, guess, rigged, alphas, rows).on(rig.masks["neck"].numpy())
    share, drift = torso.solve(rig, np.zeros(3), heading, rim, CLIP, TIME)
    got = _torso(heading, heading.nod(share, drift))
    together = _torso(heading, heading.nod(0.0))
    assert _angles_between(got, true).mean() < 0.03
    assert _angles_between(got, true).mean() < 0.3 * _angles_between(together, true).mean()


def _played(rig: HeadRig, heading: torso.Heading, nod: np.ndarray) -> RigParams:
    """The head stays about the origin, the torso turns about the neck joint."""
    turns = _torso(heading, nod)
    head = heading.mean @ rotations.exp(heading.away)
    arms = {
        "rotation": rotations.log(turns), "neck_pose": nod,
        # The root joint is the origin; the neck joint goes where the head takes it.
        "translation": (head - turns) @ np.array(NECK),
    }  # fmt: skip
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arms.items()}
    zero = torch.zeros(TIMES, 6)
    return replace(
        still(rig, [0.0, 0, 0]), expr=zero[:, :4], jaw_pose=zero[:, :3], eyes_pose=zero,
        neck_shift=zero[:, :3], soft_offset=torch.zeros(TIMES, 3 * CONTROLS), **tensors,
        sequence=np.full(TIMES, "main"), index=np.arange(TIMES), time=TIME,
        valid=np.ones(TIMES, bool),
    )  # fmt: skip
