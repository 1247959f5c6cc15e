import cv2
import numpy as np

from pipeline.matte.refine import follow_edges, one_person, shrink, to_uint8
from tests.unit.pipeline.matte.scenes import ellipse


def test_a_mask_moves_to_the_images_edge() -> None:
    image = np.full((40, 40, 3), 30, np.uint8)
    image[:, 20:] = 220
    mask = np.zeros((40, 40), np.float32)
    mask[:, 17:] = 1  # three pixels too far
    mask = cv2.GaussianBlur(mask, (0, 0), 3)
    alpha = follow_edges(image, image, mask, 8, 1e-4)
    steps = np.diff(alpha, axis=1)
    assert (steps.argmax(1) == 19).all()
    assert steps[:, 19].min() > 0.5
    assert np.diff(mask, axis=1).max() < 0.15
    assert (
        np.abs(alpha - (image[..., 0] > 128)).mean()
        < 0.5 * np.abs(mask - (image[..., 0] > 128)).mean()
    )


def test_the_fast_filter_is_the_guided_filter() -> None:
    """At working size, where nothing is resized, OpenCV's filter says the same."""
    random = np.random.default_rng(0)
    image = cv2.blur(random.integers(0, 256, (60, 50, 3), dtype=np.uint8), (5, 5))
    mask = ellipse(60, 50)
    expected = cv2.ximgproc.guidedFilter(image, mask, 4, 1e-3 * 255**2)
    found = follow_edges(image, image, mask, 4, 1e-3)
    # OpenCV's borders differ: within two windows of them there is nothing to compare.
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(
        found[inner], np.clip((expected - 0.2) / 0.6, 0, 1)[inner], atol=2e-3
    )


def test_edges_are_found_at_full_size() -> None:
    """An edge between two pixels of the working size."""
    image = np.full((512, 512, 3), 30, np.uint8)
    image[:, 257:] = 220
    small = shrink(image)
    assert small.shape == (256, 256, 3)
    mask = np.zeros((256, 256), np.float32)
    mask[:, 126:] = 1
    alpha = follow_edges(image, small, cv2.GaussianBlur(mask, (0, 0), 2), 4, 1e-4)
    assert (np.diff(alpha[:, 200:300], axis=1).argmax(1) == 56).all()


def test_only_the_largest_part_stays_and_small_holes_are_filled() -> None:
    alpha = np.zeros((100, 100), np.float32)
    alpha[20:80, 20:70] = 1
    alpha[40:43, 40:43] = 0  # a speck of a hole
    alpha[50:70, 30:60] = 0  # a window that is truly open
    alpha[40:60, 85:95] = 1  # somebody else
    kept = one_person(alpha)
    assert kept[41, 41] == 1
    assert kept[60, 45] == 0
    assert kept[50, 90] == 0
    assert kept[30, 30] == 1
    assert not one_person(np.zeros((10, 10), np.float32)).any()
    large = np.ones((200, 200), np.float32)
    large[96:104, 96:104] = 0
    assert one_person(large).all()


def test_alpha_is_rounded_to_bytes() -> None:
    assert to_uint8(np.array([[-0.1, 0.002, 0.5, 1.2]], np.float32)).tolist() == [[0, 1, 128, 255]]
