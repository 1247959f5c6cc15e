import cv2
import numpy as np
import pytest

from pipeline import media
from pipeline.detect.mediapipe_import import import_mediapipe
from pipeline.matte.masks import PersonMasks, subject_of
from tests.media_files import real_clip


@pytest.mark.parametrize("size", [(256, 256), (182, 256), (256, 141)])
def test_the_masks_are_those_of_mediapipes_own_graphs(size: tuple[int, int]) -> None:
    import_mediapipe()
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    image = next(media.read_video(real_clip("hard_clips/clean_reference.mp4")))[1]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    expected = []
    for model in (0, 1):
        network = SelfieSegmentation(model_selection=model)
        expected.append(network.process(small).segmentation_mask)
        network.close()
    masks = PersonMasks()
    masks(small[::-1])  # nothing of it stays
    found = masks(small)
    assert found.max() > 0.9
    assert np.abs(expected[0] - expected[1]).max() > 0.1  # two networks, not one twice
    np.testing.assert_allclose(found, np.minimum(*expected), atol=1e-4)


def test_a_mask_without_others_is_the_subjects() -> None:
    mask = np.array([[0.5, 1.0]], np.float32)
    assert subject_of(mask, None) is mask
    assert subject_of(mask, np.array([[1.0, 0.0]], np.float32)).tolist() == [[0.5, 0.0]]
