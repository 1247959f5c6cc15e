import cv2
import numpy as np

from pipeline.track.report import overlay
from tests.rigs import toy_rig

NOTHING = np.full((478, 2), np.nan)


def test_only_what_looks_this_way_is_drawn() -> None:
    # Two triangles side by side; the second is wound the other way round: it looks away.
    pixels = np.array([[2.0, 18], [10, 18], [6, 4], [22, 18], [30, 18], [26, 4]])
    faces = np.array([[0, 1, 2], [3, 5, 4]])
    image = np.zeros((24, 34, 3), np.uint8)
    wire = overlay.wire_of(faces)
    overlay.draw_frame(image, pixels, wire, NOTHING, overlay.WIRE)
    assert image[:, :16].any()
    assert not image[:, 16:].any()


def test_landmarks_are_drawn_where_they_are() -> None:
    image = np.zeros((24, 24, 3), np.uint8)
    points = np.full((478, 2), np.nan)
    points[5] = [12.5, 7.5]  # the centre of column 12, row 7
    nothing = overlay.wire_of(np.zeros((0, 3), int))
    overlay.draw_frame(image, np.zeros((3, 2)), nothing, points, overlay.WIRE)
    rows, columns = np.nonzero(image.any(2))
    assert (rows.mean(), columns.mean()) == (7, 12)


def test_what_lies_in_the_mouth_is_left_out() -> None:
    rig = toy_rig()
    everything = len(overlay.wire_faces(rig))
    rig.masks["tongue"] = rig.masks["mouth"]
    kept = overlay.wire_faces(rig)
    assert 0 < len(kept) < everything
    assert not rig.masks["mouth"].numpy()[kept].any()


def test_a_wire_walks_every_edge_once() -> None:
    faces = toy_rig().faces.numpy()
    wire = overlay.wire_of(faces)
    walked = wire.steps >= 0
    ends = np.sort(np.stack([wire.path, np.roll(wire.path, -1)], 1), 1)[walked]
    sides = {
        tuple(sorted(map(int, side)))
        for face in faces
        for side in zip(face, np.roll(face, 1), strict=True)
    }
    assert sorted(map(tuple, ends.tolist())) == sorted(sides)
    assert np.array_equal(np.sort(wire.steps[walked]), np.arange(len(sides)))
    # A face's three edges are those between its own corners.
    corners = np.empty((len(sides), 2), int)
    corners[wire.steps[walked]] = ends
    for face, edges in zip(faces, wire.edges, strict=True):
        assert set(corners[edges].ravel().tolist()) == set(face.tolist())


def test_a_walked_wire_looks_like_triangles_drawn_one_by_one() -> None:
    rng = np.random.default_rng(0)
    columns, rows = np.meshgrid(np.arange(9), np.arange(9))
    pixels = 20 + 20 * np.stack([columns, rows], -1).reshape(-1, 2) + rng.normal(0, 8, (81, 2))
    corner = np.arange(72).reshape(8, 9)[:, :8].ravel()
    faces = np.concatenate([
        np.stack([corner, corner + 9, corner + 1], 1),
        np.stack([corner + 1, corner + 9, corner + 10], 1),
    ])  # fmt: skip
    a, b, c = pixels[faces].swapaxes(0, 1)
    front = np.cross(b - a, c - a) < 0
    assert 0.5 < front.mean() < 1
    expected = np.zeros((200, 200, 3), np.uint8)
    places = np.round((pixels - 0.5) * 2**overlay.SHIFT).astype(np.int32)
    for triangle in places[faces[front]]:
        cv2.polylines(expected, [triangle], True, overlay.WIRE, 1, cv2.LINE_8, overlay.SHIFT)
    image = np.zeros_like(expected)
    overlay.draw_frame(image, pixels, overlay.wire_of(faces), NOTHING, overlay.WIRE)
    assert np.array_equal(image > 0, expected > 0)


def test_landmarks_beyond_the_border_are_cut_off() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    points = NOTHING.copy()
    points[:3] = [[0.5, 4.5], [-30, 5], [5.5, 10.6]]  # on the left edge, far outside, just below
    nothing = overlay.wire_of(np.zeros((0, 3), int))
    overlay.draw_frame(image, np.zeros((3, 2)), nothing, points, overlay.WIRE)
    rows, columns = np.nonzero(image.any(2))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        (3, 0), (4, 0), (5, 0), (4, 1), (9, 5)
    }  # fmt: skip
