import numpy as np
import pytest

from pipeline.detect import persons
from pipeline.detect.face_mesh import FaceFinder

TIME = np.arange(60) / 30
SUBJECT = np.array([100.0, 100, 200, 200])
OTHER = np.array([320.0, 110, 400, 190])


def _frames(*boxes: np.ndarray, count: int = 60) -> list[np.ndarray]:
    return [np.array(boxes).reshape(-1, 4) for _ in range(count)]


def test_a_clip_of_one_person_has_nobody_else() -> None:
    assert persons.tell_apart(_frames(SUBJECT), TIME) is None
    assert persons.tell_apart(_frames(), TIME) is None


def test_the_larger_face_is_the_subjects_and_the_other_is_followed() -> None:
    found = _frames(OTHER, SUBJECT)
    found[20] = OTHER[None]  # the subject turns away
    found[30] = SUBJECT[None] + 3.0  # the other does
    told = persons.tell_apart(found, TIME)
    assert told is not None
    np.testing.assert_allclose([row.subject for row in told[:30]], np.tile(SUBJECT, (30, 1)))
    np.testing.assert_allclose([row.others for row in told], np.tile(OTHER, (60, 1, 1)))


def test_gaps_are_interpolated_and_an_absence_ends() -> None:
    found = _frames(SUBJECT, count=120)
    for k in range(10):
        found[k] = np.array([SUBJECT, OTHER + np.array([2 * k, 0, 2 * k, 0])])
    found[4] = SUBJECT[None]
    told = persons.tell_apart(found, np.arange(120) / 30)
    assert told is not None
    assert told[4].others[0, 0] == OTHER[0] + 8
    assert [len(row.others) for row in told] == [1] * 40 + [0] * 80  # a second after the last


@pytest.mark.parametrize(
    "odd",
    [
        SUBJECT + np.array([20, 0, 20, 0]),  # the same face twice
        np.array([110.0, 290, 190, 370]),  # a picture on the clothes
        np.array([400.0, 100, 430, 130]),  # a small one in the background
    ],
)
def test_what_is_nobody_beside_the_subject(odd: np.ndarray) -> None:
    assert persons.tell_apart(_frames(SUBJECT, odd), TIME) is None


def test_a_face_of_a_few_frames_is_none() -> None:
    found = _frames(SUBJECT)
    for k in (3, 30, 50):
        found[k] = np.array([SUBJECT, OTHER])
    assert persons.tell_apart(found, TIME) is None


def test_a_person_outside_the_frame_is_there_all_the_time() -> None:
    outside = np.array([[-90.0, 100, 10, 200]])
    told = persons.tell_apart(_frames(SUBJECT), TIME, outside)
    assert told is not None
    assert all((row.others == outside).all() for row in told)


def test_who_is_in_most_samples_stands_beside() -> None:
    found = _frames(SUBJECT, OTHER, count=10)
    found[3] = SUBJECT[None]
    subject = np.tile(SUBJECT, (10, 1))
    subject[5] = np.nan
    np.testing.assert_array_equal(persons.beside(found, subject), OTHER[None])
    rare = [boxes if k < 5 else boxes[:1] for k, boxes in enumerate(found)]
    assert persons.beside(rare, subject).shape == (0, 4)


def test_every_frame_is_looked_at_only_where_there_are_several(face: np.ndarray) -> None:
    asked: list[int] = []

    def clip(image: np.ndarray):
        def of(row: int) -> np.ndarray:
            asked.append(row)
            return image

        return of

    rows = list(range(20))
    assert persons.in_clip(clip(face), rows, TIME[:20], FaceFinder()) is None
    assert asked == [0, 16]
    asked.clear()
    both = np.concatenate([face, face[:, ::-1]], 1)
    told = persons.in_clip(clip(both), rows, TIME[:20], FaceFinder())
    assert told is not None
    assert {len(row.others) for row in told} == {1}
    assert len(asked) == 20
