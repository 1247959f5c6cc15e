"""Factors on K of the demo's eight cameras."""

import re
from dataclasses import replace

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.track.evidence import intrinsics_check
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from tests.unit.pipeline.track.evidence.arc import NAMES, some
from tests.unit.pipeline.track.evidence.conftest import head

ALL, PAIR, THREE = [*range(8)], [3, 4], [2, 3, 5]
FACTORS = {
    "fx, fy, cx and cy": [(2, 2, 2, 2), (0.5, 0.5, 0.5, 0.5), (1.5, 1.5, 1.5, 1.5)],
    "fx and fy": [(2, 2, 1, 1), (0.5, 0.5, 1, 1), (1.3, 1.3, 1, 1)],
    "fx": [(1.2, 1, 1, 1)],
}
MISTAKES = [(entries, by) for entries, factors in FACTORS.items() for by in factors]


@pytest.fixture(scope="module")
def scene(seen) -> tuple[LandmarkModel, Observations]:
    """The head of `seen` in a larger unit, in which it is about as large as the mean one."""
    model, observed = seen
    viewmats = observed.viewmats.copy()
    viewmats[:, :3, 3] *= 0.9
    return model, replace(observed, viewmats=viewmats)


def _wrong(observed: Observations, by: tuple[float, ...], cameras: list[int]) -> Observations:
    Ks = observed.Ks.copy()
    for camera in cameras:
        Ks[camera, [0, 1, 0, 1], [0, 1, 2, 2]] *= by
    return replace(observed, Ks=Ks)


def _named(model, observed: Observations, origin: np.ndarray | None = None) -> str:
    """The error, or the warning where it may be the head that is unusual."""
    count = len(observed.Ks)
    origin = np.zeros((count, 2)) if origin is None else origin
    try:
        [message] = intrinsics_check.check(model, observed, NAMES[:count], origin)
    except UserError as error:
        message = str(error)
    assert "unit" not in message
    return message


def _factor(message: str) -> float:
    return float(re.search(r"about (\S+) times", message)[1])


@pytest.mark.parametrize("cameras", [ALL, THREE])
def test_a_right_K_passes(seen, cameras: list[int]) -> None:
    """Also of a head that is 13 % larger than the mean one."""
    model, observed = seen
    given = some(observed, cameras)
    assert intrinsics_check.check(model, given, NAMES, np.zeros((len(cameras), 2))) == []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cameras", [ALL, PAIR, THREE])
def test_no_face_makes_a_right_K_an_error(anny_rig, cameras: list[int], seed: int) -> None:
    """Two cameras of a long face may give a warning: it looks like another fy."""
    model, observed = head(anny_rig, seed)
    intrinsics_check.check(model, some(observed, cameras), NAMES, np.zeros((len(cameras), 2)))


@pytest.mark.fault("H3")
@pytest.mark.parametrize(("entries", "by"), MISTAKES)
def test_a_factor_on_K_of_all_cameras_is_named(scene, entries, by) -> None:
    model, observed = scene
    message = _named(model, _wrong(observed, by, ALL))
    assert (
        f"cameras.json: K of all cameras: {entries} {'are' if 'and' in entries else 'is'} about"
        in message
    )
    # Another face than the mean one counts as a part of the factor.
    assert _factor(message) == pytest.approx(by[0], rel=0.2)


@pytest.mark.fault("H3")
@pytest.mark.parametrize("wrong", [[3], [2, 5]])
@pytest.mark.parametrize(("entries", "by"), MISTAKES)
def test_a_factor_on_K_of_some_cameras_is_named(scene, entries, by, wrong: list[int]) -> None:
    model, observed = scene
    with pytest.raises(UserError) as caught:
        intrinsics_check.check(model, _wrong(observed, by, wrong), NAMES, np.zeros((8, 2)))
    message = str(caught.value)
    several = "s" if len(wrong) > 1 else ""
    names = ", ".join(NAMES[camera] for camera in wrong)
    assert (
        f"K of camera{several} {names}: {entries} {'are' if 'and' in entries else 'is'} about"
        in message
    )
    assert _factor(message) == pytest.approx(by[0], rel=0.05)


@pytest.mark.fault("H3")
@pytest.mark.parametrize(("wrong", "words"), [([0, 1], "all cameras"), ([1], "camera cam1")])
def test_two_cameras_suffice(scene, wrong: list[int], words: str) -> None:
    model, observed = scene
    message = _named(model, _wrong(some(observed, PAIR), (2, 2, 2, 2), wrong))
    assert f"K of {words}: fx, fy, cx and cy are about 2 times" in message


@pytest.mark.fault("H3")
def test_a_factor_of_the_source_is_found_in_frames_that_are_cut(scene) -> None:
    """The stored frame's corner is the source's pixel (100, 50)."""
    model, observed = scene
    origin = np.tile([-100.0, -50.0], (8, 1))
    Ks = observed.Ks.copy()
    Ks[:, [0, 1], [0, 1]] *= 2
    Ks[:, :2, 2] = 2 * (Ks[:, :2, 2] - origin) + origin
    message = _named(model, replace(observed, Ks=Ks), origin)
    assert "fx, fy, cx and cy are about 2 times" in message


def test_three_rays_meet_in_their_point() -> None:
    K = np.array([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    viewmats = np.tile(np.eye(4), (3, 1, 1))
    viewmats[:, :3, 3] = [[0, 0, 2], [1, 0, 2], [0, 1, 2]]
    # The point (0.5, 0, 1): depth 3 in all three.
    points = np.array([[0.5, 0], [1.5, 0], [0.5, 1]]) / 3 * 100 + 50
    world = intrinsics_check.triangulate(
        points[None, :, None], np.ones((1, 3), bool), np.tile(K, (3, 1, 1)), viewmats
    )
    assert world[0, 0] == pytest.approx([0.5, 0, 1], abs=1e-6)
