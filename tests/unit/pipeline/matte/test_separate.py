import cv2
import numpy as np
import pytest

from pipeline.detect.persons import Persons
from pipeline.matte import separate
from pipeline.matte.separate import Separation

# Two persons in an image of 200 x 120: a face of 30 px and shoulders each.
FACES = np.array([[45.0, 30, 75, 60], [105.0, 30, 135, 60]])
SHIRTS = ((200, 60, 60), (60, 80, 200))


def _two(border: int, colours=SHIRTS) -> np.ndarray:
    """Two persons whose shirts touch at a column."""
    image = np.full((120, 200, 3), 128, np.uint8)
    cv2.rectangle(image, (20, 75), (border - 1, 119), colours[0], -1)
    cv2.rectangle(image, (border, 75), (170, 119), colours[1], -1)
    for left, top, right, bottom in FACES.astype(int).tolist():
        middle = ((left + right) // 2, (top + bottom) // 2)
        cv2.rectangle(image, (middle[0] - 8, 60), (middle[0] + 8, 76), (220, 170, 140), -1)
        cv2.ellipse(image, middle, (15, 22), 0, 0, 360, (220, 170, 140), -1)
    return image


@pytest.fixture
def separation(monkeypatch: pytest.MonkeyPatch) -> Separation:
    """With the mask of the drawing instead of a network's, which sees no person in it."""
    monkeypatch.setattr(
        separate,
        "person_masks",
        lambda: lambda small: (np.ptp(small, axis=2) > 10).astype(np.float32),
    )
    return Separation()


@pytest.mark.fault("4.8")
@pytest.mark.parametrize("border", [78, 90, 102])
def test_the_border_follows_the_clothes(separation: Separation, border: int) -> None:
    """Wherever the shirts touch, also if one covers more than half of the way."""
    share, removed = separation(_two(border), Persons(FACES[0], FACES[1:]))
    shirt = share[85:115]
    assert shirt[:, 22 : border - 3].min() > 0.9
    assert shirt[:, border + 3 : 168].max() < 0.1
    assert share[30:60, 50:70].min() == 1
    assert share[30:60, 110:130].max() == 0
    assert 0.15 < removed < 0.35


@pytest.mark.fault("4.8")
def test_without_an_edge_it_runs_halfway(separation: Separation) -> None:
    share, _ = separation(_two(90, (SHIRTS[0], SHIRTS[0])), Persons(FACES[0], FACES[1:]))
    assert np.abs((share[85:115] > 0.5).sum(1) - 90).max() <= 2


@pytest.mark.fault("4.8")
def test_the_subject_may_be_either(separation: Separation) -> None:
    left, _ = separation(_two(90), Persons(FACES[0], FACES[1:]))
    right, _ = Separation()(_two(90), Persons(FACES[1], FACES[:1]))
    assert np.abs(left + right - 1).max() < 1e-5


def test_alone_everything_is_the_subjects(separation: Separation) -> None:
    share, removed = separation(_two(90), Persons(FACES[0], np.zeros((0, 4))))
    assert (share == 1).all()
    assert removed == 0


@pytest.mark.fault("4.8")
def test_noise_does_not_move_the_border(separation: Separation) -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(12):
        noisy = _two(90, (SHIRTS[0], SHIRTS[0])) + random.normal(0, 2, (120, 200, 3))
        moved = FACES + random.normal(0, 0.7, (2, 1))
        image = np.clip(noisy, 0, 255).astype(np.uint8)
        shares.append(separation(image, Persons(moved[0], moved[1:]))[0] > 0.5)
    columns = np.array(shares[4:])[:, 85:115].sum(2)
    assert columns.std(0).max() < 1.5


@pytest.mark.fault("4.8")
def test_a_face_beside_the_image_takes_what_is_next_to_it(separation: Separation) -> None:
    outside = np.array([[195.0, 30, 225, 60]])
    share, _ = separation(_two(171), Persons(FACES[0], outside))
    assert share[45, 198] == 0  # right before that face
    assert share[85:115, :120].min() == 1
    assert share[30:60, 40:80].min() == 1


def test_the_shortest_way_goes_around_a_wall() -> None:
    cost = np.ones((9, 9), np.float32)
    cost[:8, 4] = 1000
    start = np.full((9, 9), separate.FAR)
    start[0, 0] = 0
    found = separate._swept(start, cost, 3)
    assert found[0, 3] == 3
    assert found[8, 8] == pytest.approx(4 * 2**0.5 + 4 + 4, abs=3)
    assert found[0, 8] == pytest.approx(found[8, 4] + 4 * 2**0.5 + 4, abs=1e-3)
    assert start[0, 1] == separate.FAR  # as it was
