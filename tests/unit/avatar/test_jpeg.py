import cv2
import numpy as np

from avatar import jpeg


def test_the_bytes_are_those_of_opencv() -> None:
    """Another encoder of the same library: nothing else in the house has to know which it was."""
    small = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = cv2.resize(small, (131, 77), interpolation=cv2.INTER_CUBIC)
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, 95),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    _, expected = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert jpeg.encode(image) == expected.tobytes()
