"""Faces that the face mesh's own detection does not find."""

import cv2
import numpy as np
import pytest

from pipeline.detect import landmarks, small_faces
from pipeline.detect.face_mesh import FaceFinder, FaceMesh


def _placed(
    face: np.ndarray, frame: tuple[int, int], width: float, at: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A frame (w, h) with a face of a width (px) about a place (shares of w, h); landmarks."""
    points = landmarks.detect_images([face]).points[0]
    scale = width / np.ptp(points[:, 0])
    centre = points.mean(0) * scale
    shift = (
        np.clip(
            np.multiply(at, frame), centre, frame - (np.array(face.shape[1::-1]) * scale - centre)
        )
        - centre
    )
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    matrix[:, 2] += (scale - 1) / 2  # OpenCV's pixels are counted from their centres
    image = cv2.warpAffine(face, matrix, frame, flags=cv2.INTER_AREA, borderValue=(90, 90, 90))
    return image, points * scale + shift


CASES = [
    ((1920, 1080), 137, (0.5, 0.5)),
    ((1920, 1080), 100, (0.95, 0.05)),
    ((1280, 720), 103, (0.2, 0.9)),
    ((1080, 1920), 100, (0.5, 0.2)),
    ((3840, 2160), 105, (0.63, 0.37)),
    ((3840, 2160), 330, (0.5, 0.5)),
]


@pytest.mark.fault("H7")
@pytest.mark.parametrize(("frame", "width", "at"), CASES)
def test_a_look_finds_a_face_of_a_hundred_pixels(
    face: np.ndarray, frame: tuple[int, int], width: float, at: tuple[float, float]
) -> None:
    image, expected = _placed(face, frame, width, at)
    found, boxes = landmarks.SampleDetector()([image] * 2)
    assert found.found.all()
    assert [len(places) for places in boxes] == [1, 1]
    assert np.abs(found.points[0] - expected).mean() < 0.03 * width


@pytest.mark.fault("H7")
@pytest.mark.parametrize(("frame", "width", "at"), CASES[:5])
def test_a_stream_takes_up_a_small_face_and_follows_it(
    face: np.ndarray, frame: tuple[int, int], width: float, at: tuple[float, float]
) -> None:
    image, expected = _placed(face, frame, width, at)
    finder = FaceFinder()
    with FaceMesh() as mesh:
        follower = small_faces.Follower(mesh, finder)
        for step in range(4):
            moved = np.roll(image, -2 * step, 1)
            faces = follower.detect(moved)
            assert len(faces) == 1
            assert np.abs(faces[0] - expected + [2 * step, 0]).mean() < 0.03 * width


def test_a_large_face_costs_no_search(face: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = FaceFinder()
    monkeypatch.setattr(small_faces, "find", lambda *_: pytest.fail("searched"))
    with FaceMesh() as mesh, FaceMesh() as plain:
        follower = small_faces.Follower(mesh, finder)
        for _ in range(3):
            np.testing.assert_array_equal(follower.detect(face), plain.detect(face))


def test_an_empty_stream_is_searched_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = []
    monkeypatch.setattr(
        small_faces, "find", lambda image, _: searches.append(1) or np.zeros((0, 4))
    )
    with FaceMesh() as mesh:
        follower = small_faces.Follower(mesh, FaceFinder())
        for _ in range(17):
            assert len(follower.detect(np.full((96, 96, 3), 90, np.uint8))) == 0
    assert len(searches) == 3


def test_tiles_cover_a_length_and_overlap_by_half() -> None:
    for length, side in ((1920, 960), (1080, 960), (2160, 1920), (960, 960), (500, 960)):
        starts = small_faces._starts(length, side)
        assert starts[0] == 0
        assert starts[-1] == max(0, length - side)
        assert (np.diff(starts) <= side / 2).all()


def test_overlap_is_intersection_over_union() -> None:
    box = np.array([0.0, 0, 2, 2])
    assert small_faces.overlap(box, box) == 1
    assert small_faces.overlap(box, np.array([1.0, 0, 3, 2])) == pytest.approx(1 / 3)
    assert small_faces.overlap(box, np.array([2.0, 0, 3, 2])) == 0
