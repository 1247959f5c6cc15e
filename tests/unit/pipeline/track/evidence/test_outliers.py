from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.landmarks import Detections
from pipeline.track.evidence import outliers
from pipeline.track.report import quality
from pipeline.track.solve import rotations
from pipeline.track.solve.held_out import HeldOut
from pipeline.track.solve.joint_fit import Fit
from tests.unit.pipeline.track.capture import SIZE, Toy, toy


def test_a_camera_that_looks_elsewhere_is_outvoted() -> None:
    scene = toy(timesteps=6, cams=4, noise=0.5)
    rest = scene.problem.initial(scene.truth.rotation, scene.truth.centre)
    points = scene.problem.project(rest, scene.problem.in_cameras(rest))
    points[2, 1] = 0.5 * points[2, 1]  # a smaller face elsewhere
    points[4, 3] = SIZE - points[4, 3]  # upside down
    observed = replace(scene.problem.observations, points=points)
    kept = outliers.by_cameras(scene.problem.model, observed)
    assert np.argwhere(~kept.seen).tolist() == [[2, 1], [4, 3]]
    two = replace(
        observed, points=points[:, :2], seen=observed.seen[:, :2], Ks=observed.Ks[:2],
        viewmats=observed.viewmats[:2],
    )  # fmt: skip
    assert outliers.by_cameras(scene.problem.model, two).seen.all()


def _fit(scene: Toy) -> Fit:
    count = len(scene.problem.observations)
    scene.problem.reweight(scene.truth)
    zero = np.zeros((scene.rig.num_verts, 3))
    return Fit(
        scene.rig, scene.problem, scene.truth, np.ones(count, bool),
        HeldOut.nothing(count), zero, np.zeros((count, 3)),
    )  # fmt: skip


def test_what_does_not_fit_is_an_outlier() -> None:
    scene = toy(timesteps=20, cams=2, noise=0.5)
    assert not outliers.by_fit(_fit(scene)).any()
    middle = scene.problem.points[7, 0].mean(0)
    scene.problem.points[7, 0] = middle + (scene.problem.points[7, 0] - middle) * [-1, 1]
    assert np.argwhere(outliers.by_fit(_fit(scene))).tolist() == [[7, 0]]


def _from_the_side() -> Toy:
    """Two cameras before the head, and one at 75 degrees."""
    scene = toy(timesteps=20, cams=3, noise=0.5)
    viewmats = scene.problem.observations.viewmats
    viewmats[2, :3, :3] = viewmats[1, :3, :3] @ rotations.exp(np.radians([0.0, 75.0, 0.0]))
    pixels = scene.problem.project(scene.truth, scene.problem.in_cameras(scene.truth))
    scene.problem.points[:, 2] = pixels[:, 2]
    return scene


@pytest.mark.parametrize(("per_cent", "rejected"), [(12, []), (25, [[7, 2]])])
def test_what_slipped_at_the_side_is_an_outlier(per_cent: float, rejected: list) -> None:
    scene = _from_the_side()
    eyes = quality.eye_distance(scene.problem, scene.truth)
    scene.problem.points[7, 2, :, 0] += per_cent / 100 * eyes[7, 2]
    assert np.argwhere(outliers.by_fit(_fit(scene))).tolist() == rejected


def test_a_camera_whose_side_views_all_slipped_is_rejected() -> None:
    scene = _from_the_side()
    eyes = quality.eye_distance(scene.problem, scene.truth)
    scene.problem.points[:, 2, :, 0] += 0.5 * eyes[:, 2, None]
    assert outliers.by_fit(_fit(scene)).all(0).tolist() == [False, False, True]


def test_a_side_view_alone_is_kept() -> None:
    scene = _from_the_side()
    eyes = quality.eye_distance(scene.problem, scene.truth)
    scene.problem.points[7, 2, :, 0] += 0.25 * eyes[7, 2]
    scene.problem.observations.seen[7, :2] = False
    assert not outliers.by_fit(_fit(scene)).any()


def test_what_is_no_longer_observed_is_marked() -> None:
    observed = toy(timesteps=3, cams=2).problem.observations
    observed.seen[1, 0] = False
    found = Detections(np.zeros((6, 478, 2), np.float32), np.array([True] * 5 + [False]))
    found.points[5] = np.nan
    timestep, camera = np.tile(np.arange(3), 2), np.repeat([0, 1], 3)
    marked = outliers.mark(found, observed, timestep, camera)
    assert marked.found.tolist() == [True, False, True, True, True, False]
    assert marked.outliers.tolist() == [False, True, False, False, False, False]
