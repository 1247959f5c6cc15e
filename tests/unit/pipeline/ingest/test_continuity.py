import cv2
import numpy as np
import pytest

from pipeline.ingest.continuity import SIDE, Continuity, changes, cuts, thumbnail


def scene(seed: int, count: int = 30, step: int = 1) -> list[np.ndarray]:
    """Pictures of one scene that moves a little."""
    noise = np.random.default_rng(seed).integers(20, 220, (6, 6, 3), dtype=np.uint8)
    wide = cv2.resize(noise, (240, 120), interpolation=cv2.INTER_CUBIC)
    return [wide[:, step * k :][:, :120] for k in range(count)]


def of(pictures: list[np.ndarray]) -> Continuity:
    return Continuity.of(np.stack([thumbnail(picture) for picture in pictures]))


def test_a_thumbnail_holds_means() -> None:
    image = np.zeros((2 * SIDE, SIDE, 3), np.uint8)
    image[::2] = 200
    assert (thumbnail(image) == 100).all()


def test_changes_by_hand() -> None:
    """Halves of black and white: the same picture, its negative, and one at a right angle."""
    a = np.zeros((SIDE, SIDE, 3), np.uint8)
    a[: SIDE // 2] = 200
    across = np.zeros_like(a)
    across[:, : SIDE // 2] = 200
    np.testing.assert_allclose(changes(np.stack([a, a])), [0], atol=1e-5)
    np.testing.assert_allclose(changes(np.stack([a, 200 - a])), [2], rtol=1e-5)
    np.testing.assert_allclose(changes(np.stack([a, across])), [1], rtol=1e-5)
    np.testing.assert_allclose(changes(np.stack([a, a // 2 + 50])), [0], atol=1e-5)  # exposure
    grey = np.full_like(a, 90)
    np.testing.assert_allclose(changes(np.stack([grey, grey + 60])), [0], atol=1e-5)  # nothing


def test_a_change_must_last() -> None:
    """Of every pair of frames on either side of a step the most alike one counts."""
    a = np.zeros((SIDE, SIDE, 3), np.uint8)
    a[: SIDE // 2] = 200
    flash = changes(np.stack([a] * 5 + [200 - a] * 2 + [a] * 5))
    np.testing.assert_allclose(flash, 0, atol=1e-5)
    for_good = changes(np.stack([a] * 6 + [200 - a] * 6))
    np.testing.assert_allclose(for_good, [0] * 5 + [2] + [0] * 5, atol=1e-5)


def test_cuts_by_hand() -> None:
    calm = np.full(20, 0.02)
    assert cuts(calm).tolist() == []
    for place in (0, 7, 19):
        change = calm.copy()
        change[place] = 0.5
        assert cuts(change).tolist() == [place + 1]
    change = calm.copy()
    change[[5, 9]] = 0.9  # two cuts near each other
    assert cuts(change).tolist() == [6, 10]
    assert cuts(np.full(20, 0.4)).tolist() == []  # everything moves
    assert cuts(np.array([0.9])).tolist() == [1]


@pytest.mark.fault("M5")
def test_a_hard_cut_is_found_where_it_is() -> None:
    assert of(scene(0) + scene(1)).cuts == [30]
    assert of(scene(0) + scene(1) + scene(2)).cuts == [30, 60]
    assert of(scene(0) + [np.zeros_like(scene(0)[0])] * 10 + scene(0)[::-1]).cuts == [30, 40]


@pytest.mark.fault("M5")
def test_motion_flashes_and_exposure_are_no_cuts() -> None:
    assert of(scene(0)).cuts == []
    assert of(scene(0, step=4)).cuts == []
    darker = [(0.7 * picture).astype(np.uint8) for picture in scene(0)[15:]]
    assert of(scene(0)[:15] + darker).cuts == []
    flash = scene(0)
    flash[12] = np.full_like(flash[12], 255)
    assert of(flash).cuts == []


@pytest.mark.fault("L4")
def test_repeated_frames_and_a_still_picture_are_measured() -> None:
    pictures = scene(0, 20)
    assert of(pictures).repeated == 0
    assert of([picture for picture in pictures for _ in range(2)]).repeated == pytest.approx(
        20 / 39
    )
    assert of([pictures[0]] * 61) == Continuity([], 1.0, True)
    assert not of(pictures).still
    assert of(pictures[:1]) == Continuity()


def test_the_longest_part_without_a_cut() -> None:
    assert Continuity([3, 10]).longest(14) == slice(3, 10)
    assert Continuity([3, 10]).longest(30) == slice(10, 30)
    assert Continuity().longest(5) == slice(0, 5)
