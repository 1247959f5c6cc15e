"""The demo's eight cameras stand 64 to -66 degrees round the head of `seen`."""

import numpy as np

from pipeline.track.evidence import side_views
from pipeline.track.solve import initial


def test_only_cameras_before_the_face_are_near_its_front(seen) -> None:
    poses = initial.poses_by_camera(*seen)
    share = side_views.near_front(poses, 45.0).found.mean(0)
    assert share[[0, 7]].max() < 0.1
    assert share[[3, 4]].min() > 0.9
    assert side_views.frontal(poses).tolist() == [False, False, False, True, True, *[False] * 3]


def test_a_detection_counts_only_where_the_others_expect_a_front(seen) -> None:
    """A camera that stands at the side, but whose detections look as if it did not."""
    model, observed = seen
    poses = initial.poses_by_camera(model, observed)
    nobody, viewmats = np.zeros(8, bool), observed.viewmats.copy()
    viewmats[4] = viewmats[0]
    kept = side_views.reliable(side_views.near_front(poses, 50.0), nobody, viewmats)
    assert not kept.found[:, 4].any()
    assert np.isnan(kept.points[:, 4]).mean() > 0.9
    assert kept.found[:, 3].all()
    certain = np.arange(8) == 4
    kept = side_views.reliable(side_views.near_front(poses, 50.0), certain, viewmats)
    assert kept.found[:, 4].all()
