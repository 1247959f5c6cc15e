import cv2
import numpy as np

from avatar.data import jpeg


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


def test_the_pixels_are_those_of_opencv() -> None:
    random = np.random.default_rng(1)
    for shape in ((9, 7, 3), (64, 48, 3), (1, 1, 3)):
        blob = np.frombuffer(jpeg.encode(random.integers(0, 256, shape, dtype=np.uint8)), np.uint8)
        expected = cv2.imdecode(blob, cv2.IMREAD_COLOR)[..., ::-1]
        found = jpeg.decode(blob)
        assert np.array_equal(found, expected)
        found[0, 0] = 0  # the caller's own, to write to


def test_images_keep_their_colours_at_full_resolution() -> None:
    """4:4:4: two colours side by side do not bleed into each other."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2], image[:, 1::2] = (200, 40, 40), (40, 40, 200)
    read = jpeg.decode(np.frombuffer(jpeg.encode(image), np.uint8))
    assert np.abs(read.astype(int) - image).mean() < 8
