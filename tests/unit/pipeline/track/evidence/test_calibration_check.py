"""Mistakes in the demo's eight cameras, seen by the rig's own landmarks with noise."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.track.evidence import calibration_check
from pipeline.track.solve import rotations
from tests.unit.pipeline.track.evidence.arc import NAMES, some

SIZE = 256
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def _scaled(viewmats: np.ndarray, factor: float) -> np.ndarray:
    scaled = viewmats.copy()
    scaled[:, :3, 3] *= factor
    return scaled


MISTAKES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "are in millimetres": lambda v: _scaled(v, 1000),
    "are in centimetres": lambda v: _scaled(v, 100),
    "are in units of about": lambda v: _scaled(v, 0.3),
    "are camera-to-world:": np.linalg.inv,
    "are in OpenGL axes:": lambda v: FLIP @ v,
    "are camera-to-world in OpenGL axes:": lambda v: np.linalg.inv(FLIP @ v),
    "are camera-to-world, in millimetres": lambda v: np.linalg.inv(_scaled(v, 1000)),
}


@pytest.mark.parametrize("cameras", [[*range(8)], [3, 4], [2, 3, 5]])
def test_a_right_calibration_passes(seen, cameras: list[int]) -> None:
    model, observed = seen
    assert calibration_check.check_rig(model, some(observed, cameras), NAMES[: len(cameras)]) == []


@pytest.mark.parametrize("cameras", [[*range(8)], [3, 4], [2, 3, 5]])
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_named(seen, words: str, cameras: list[int]) -> None:
    model, observed = seen
    given = some(observed, cameras)
    wrong = replace(given, viewmats=MISTAKES[words](given.viewmats))
    with pytest.raises(UserError, match=words):
        calibration_check.check_rig(model, wrong, NAMES[: len(cameras)])


@pytest.mark.parametrize(("degrees", "cameras"), [(180, 8), (90, 8), (-90, 3), (180, 2)])
def test_a_turned_video_is_named(seen, degrees: int, cameras: int) -> None:
    model, observed = seen
    given = some(observed, [4, 3, 5, 2, 6, 1, 7, 0][:cameras])
    points = given.points.copy()
    turn = rotations.exp(np.radians([0, 0, degrees]))[:2, :2]
    points[:, 1] = (points[:, 1] - SIZE / 2) @ turn.T + SIZE / 2
    with pytest.raises(UserError, match=f"cam1: its video is turned by {degrees} degrees"):
        calibration_check.check_rig(model, replace(given, points=points), NAMES[:cameras])


def test_what_nothing_explains_is_not_explained(seen) -> None:
    model, observed = seen
    viewmats = observed.viewmats.copy()
    viewmats[2, :3] = rotations.exp(np.array([0.0, 0.5, 0.0])) @ viewmats[2, :3]
    assert calibration_check.check_rig(model, replace(observed, viewmats=viewmats), NAMES) == [2]


def test_a_single_camera_must_stand_upright(seen) -> None:
    model, observed = seen
    upright = some(observed, [4])
    calibration_check.check_single(model, upright, "0")
    lying = np.stack([SIZE - upright.points[..., 1], upright.points[..., 0]], -1)
    with pytest.raises(UserError, match=r"camera 0: the head lies at (8|9)\d degrees.*by -90"):
        calibration_check.check_single(model, replace(upright, points=lying), "0")
    with pytest.raises(UserError, match=r"the head lies at -?1(7|8)\d degrees"):
        calibration_check.check_single(model, replace(upright, points=SIZE - upright.points), "0")
