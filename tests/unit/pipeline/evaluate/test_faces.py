"""The measures of a driven face, on landmarks whose openings are known."""

import numpy as np
import pytest

from pipeline.evaluate import faces


def made(lips: list[float], lids: list[float]) -> np.ndarray:
    """Landmarks [T,478,2] with a nose of 10 pixels and openings in pixels."""
    points = np.random.default_rng(0).normal(0, 20, (1, 478, 2)).repeat(len(lips), 0)
    points[:, 168], points[:, 2] = (0, 0), (0, 10)
    points[:, 13] = (0, 20)
    points[:, 14] = np.stack([np.zeros(len(lips)), 20 + np.array(lips)], 1)
    for upper, lower in faces.LIDS:
        points[:, lower] = points[:, upper] + np.stack([np.zeros(len(lids)), lids], 1)
    return points


def test_openings_in_lengths_of_the_nose() -> None:
    points = made([1, 2, 4], [3, 0, 6])
    np.testing.assert_allclose(faces.opening(points, faces.LIPS), [0.1, 0.2, 0.4])
    np.testing.assert_allclose(faces.opening(3 * points, faces.LIDS), [0.3, 0, 0.6])


def test_a_correlation_leaves_out_frames_without_a_face() -> None:
    one, other = made([1, 2, 4, 9], [1] * 4), made([2, 4, 8, 1], [1] * 4)
    assert faces.correlation(one, other, faces.LIPS) < 0.5
    other[3] = np.nan
    assert faces.correlation(one, other, faces.LIPS) == pytest.approx(1)


def test_lids_that_close() -> None:
    lids = [4.0] * 96 + [1.0] * 4
    assert faces.closed(made([0] * 100, lids)) == pytest.approx(25)


def test_the_neutral_face_is_shut_awake_and_straight() -> None:
    count = 40
    lips, lids, turn = np.arange(1.0, count + 1), np.full(count, 4.0), np.zeros(count)
    lids[0], turn[1] = 1.0, 9.0
    chosen = faces.neutral(made(lips.tolist(), lids.tolist()), turn)
    assert chosen.tolist() == [2, 3]


def test_a_face_that_is_moved_and_turned_is_the_same() -> None:
    face = np.random.default_rng(1).normal(0, 20, (468, 2))
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 1.7 * face @ turn.T + [30, -4]
    assert faces.difference(moved, face) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(faces.aligned(face, moved), moved)
    wider = face * [1.1, 1.0]
    assert faces.difference(wider, face) > 1
    both = np.stack([np.pad(face, ((0, 10), (0, 0))), np.pad(moved, ((0, 10), (0, 0)))])
    np.testing.assert_allclose(faces.mean_face(both), face)
