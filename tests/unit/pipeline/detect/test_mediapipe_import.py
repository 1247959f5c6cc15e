import subprocess
import sys

import cv2
import numpy as np
import pytest

from pipeline import media
from pipeline.detect.mediapipe_import import import_mediapipe
from pipeline.matte.masks import PersonMasks
from tests.media_files import real_clip

FRESH = """
import sys
from pipeline.detect.mediapipe_import import import_mediapipe
import_mediapipe()
put_off = [n for n in ("matplotlib", "sounddevice", "mediapipe.tasks") if n in sys.modules]
assert not put_off, put_off
from mediapipe.python.solutions import drawing_utils, face_mesh
assert "matplotlib" not in sys.modules
assert drawing_utils.plt.figure.__module__ == "matplotlib.pyplot"
from mediapipe.tasks.python import vision
assert vision.FaceLandmarker and sys.modules["mediapipe.tasks"].__file__
"""


def test_what_is_put_off_is_there_when_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
