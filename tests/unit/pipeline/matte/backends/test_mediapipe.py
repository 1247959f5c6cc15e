import cv2
import numpy as np
import pytest

from pipeline import media
from pipeline.matte.backends.mediapipe import Segmentation
from tests.media_files import real_clip


def test_every_clip_starts_afresh() -> None:
    clip = real_clip("hard_clips/clean_reference.mp4")
    images = [cv2.resize(image, (270, 180)) for _, image in media.read_video(clip)][:3]
    one, other = Segmentation(), Segmentation()
    first = [one(image) for image in images]
    for image in images:
        other(image[:, ::-1])
    np.testing.assert_array_equal([other(image) for image in images], first)


@pytest.mark.fault("4.8")
def test_a_share_of_nothing_leaves_nothing() -> None:
    """The left half is somebody else's."""
    image = next(media.read_video(real_clip("hard_clips/clean_reference.mp4")))[1]
    small = cv2.resize(image, (256, 171), interpolation=cv2.INTER_AREA)
    share = np.ones((171, 256), np.float32)
    share[:, :128] = 0
    alone, shared = Segmentation()(small), Segmentation()(small, share)
    assert alone[:, :120].max() == 255
    assert not shared[:, :120].any()
    assert np.abs(alone[:, 140:].astype(int) - shared[:, 140:]).mean() < 1
