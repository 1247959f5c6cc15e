import numpy as np

from pipeline.track import overlay
from tests.rigs import toy_rig


def test_only_what_looks_this_way_is_drawn() -> None:
    # Two triangles side by side; the second is wound the other way round: it looks away.
    pixels = np.array([[2.0, 18], [10, 18], [6, 4], [22, 18], [30, 18], [26, 4]])
    faces = np.array([[0, 1, 2], [3, 5, 4]])
    image = np.zeros((24, 34, 3), np.uint8)
    overlay.draw_frame(image, pixels, faces, np.full((478, 2), np.nan), overlay.WIRE)
    assert image[:, :16].any()
    assert not image[:, 16:].any()


def test_landmarks_are_drawn_where_they_are() -> None:
    image = np.zeros((24, 24, 3), np.uint8)
    points = np.full((478, 2), np.nan)
    points[5] = [12.5, 7.5]  # the centre of column 12, row 7
    overlay.draw_frame(image, np.zeros((3, 2)), np.zeros((0, 3), int), points, overlay.WIRE)
    rows, columns = np.nonzero(image.any(2))
    assert (rows.mean(), columns.mean()) == (7, 12)


def test_what_lies_in_the_mouth_is_left_out() -> None:
    rig = toy_rig()
    everything = len(overlay.wire_faces(rig))
    rig.masks["tongue"] = rig.masks["mouth"]
    kept = overlay.wire_faces(rig)
    assert 0 < len(kept) < everything
    assert not rig.masks["mouth"].numpy()[kept].any()
