import io

import cv2
import numpy as np
import pytest
from PIL import Image

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
        found = jpeg.decode(blob, (shape[1], shape[0]))
        assert np.array_equal(found, expected)
        found[0, 0] = 0  # the caller's own, to write to


def test_images_keep_their_colours_at_full_resolution() -> None:
    """4:4:4: two colours side by side do not bleed into each other."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2], image[:, 1::2] = (200, 40, 40), (40, 40, 200)
    read = jpeg.decode(np.frombuffer(jpeg.encode(image), np.uint8), (16, 16))
    assert np.abs(read.astype(int) - image).mean() < 8


def encoded(image: np.ndarray, kind: str) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return np.frombuffer(stream.getvalue(), np.uint8)


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (encoded(np.zeros((16, 8, 3), np.uint8), "JPEG"), r"is RGB of \(8, 16\), expected RGB"),
        (encoded(np.zeros((8, 16), np.uint8), "JPEG"), r"is L of"),
        (encoded(np.zeros((8, 16, 3), np.uint8), "PNG"), "is no JPEG"),
        (encoded(np.zeros((8, 16, 3), np.uint8), "JPEG")[:300], "is no JPEG"),
        (np.zeros(9, np.uint8), "is no JPEG"),
    ],
)
def test_another_image_is_refused(blob: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        jpeg.decode(blob, (16, 8))


@pytest.mark.fault("M14")
def test_an_image_that_claims_many_pixels_is_not_decoded() -> None:
    """A header of 65,500 x 65,500 pixels: 12 GiB."""
    blob = encoded(np.zeros((8, 16, 3), np.uint8), "JPEG").copy()
    start = blob.tobytes().index(b"\xff\xc0") + 5
    blob[start : start + 4] = (0xFF, 0xDC, 0xFF, 0xDC)
    for size in ((16, 8), (65_500, 65_500)):
        with pytest.raises(ValueError, match="is no JPEG"):
            jpeg.decode(blob, size)
