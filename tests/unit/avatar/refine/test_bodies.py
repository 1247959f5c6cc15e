"""Head and torso as two bodies: what a step moves, and what it leaves in place."""

import copy

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.refine.bodies import CHAIN, chain_jacobian, left_jacobian_inverse
from avatar.rig import HeadRig
from avatar.rig.head_rig import ROOT
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from tests.scenes import moving_params

SMALL = 1e-4
TURN, SHIFT = torch.tensor([0.6, -0.5, 0.62]), torch.tensor([0.3, 0.8, -0.5])


def _moved(rig: HeadRig, motion: Float[Tensor, "12"]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices before, and what moves them: by a motion of the bodies, for one unit of it."""
    params = moving_params(rig, 2)
    rig = copy.deepcopy(rig).double()
    poses = {name: getattr(params, name)[1:].double() for name in POSES}
    poses["neck_pose"] += 0.3
    poses["neck_shift"] += 0.01
    shape = params.shape.double()
    before = rig(shape, **poses)[0]
    chain = {name: poses[name] for name in CHAIN}
    change = (chain_jacobian(rig, shape, chain) @ (SMALL * motion.double()))[0]
    for name, part in zip(CHAIN, change.split(3), strict=True):
        poses[name] = poses[name] + part
    after = rig(shape, **poses)[0]
    return before.numpy(), ((after - before) / SMALL).numpy()


@pytest.mark.parametrize("first", [0, 6])
def test_a_body_moves_and_the_other_stays(rig: HeadRig, first: int) -> None:
    motion = torch.zeros(12)
    motion[first : first + 3], motion[first + 3 : first + 6] = TURN, SHIFT
    before, moved = _moved(rig, motion)
    of_torso = rig.skin_weights[:, ROOT].numpy()
    bodies = (of_torso > 0.999, of_torso < 0.001)
    moving, still = bodies if first == 0 else bodies[::-1]
    assert still.any()
    assert moving.any()
    assert np.abs(moved[still]).max() < 2e-3
    arms = before[moving] - before[moving].mean(0)
    turned = moved[moving] - moved[moving].mean(0)
    assert turned == pytest.approx(np.cross(TURN.numpy(), arms), abs=2e-3)


@pytest.mark.parametrize("angle", [0.0, 0.005, 0.7, 3.1])
def test_how_an_axis_angle_changes_is_that_of_the_composed_rotation(angle: float) -> None:
    axis = torch.tensor([2.0, -1.0, 2.0], dtype=torch.float64) / 3
    start, turn = angle * axis, 1e-5 * TURN.double()
    composed = axis_angle_to_matrix(turn) @ axis_angle_to_matrix(start)
    expected = (matrix_to_axis_angle(composed) - start) / 1e-5
    assert (left_jacobian_inverse(start) @ TURN.double()).numpy() == pytest.approx(
        expected.numpy(), abs=1e-3
    )
