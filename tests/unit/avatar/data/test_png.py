import io
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from avatar.data import png


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (77, 131), (512, 512)])
def test_other_decoders_read_the_same_pixels(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, shape, dtype=np.uint8)
    for image in (noise, np.full(shape, 255, np.uint8), noise[::-1, ::-1]):
        blob = png.encode(image)
        decoded = Image.open(io.BytesIO(blob))
        assert decoded.mode == "L"
        np.testing.assert_array_equal(decoded, image)
        read = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(read, image)


def test_the_chunks_are_the_formats() -> None:
    """A decoder that checks nothing would read them anyhow: lengths, kinds and checksums."""
    blob = png.encode(np.arange(96, dtype=np.uint8).reshape(8, 12))
    place, kinds = 8, []
    while place < len(blob):
        length = int.from_bytes(blob[place : place + 4], "big")
        body, crc = blob[place + 4 : place + 8 + length], blob[place + 8 + length :][:4]
        assert zlib.crc32(body) == int.from_bytes(crc, "big")
        kinds.append(body[:4])
        place += 12 + length
    assert place == len(blob)
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_the_bytes_are_no_more_than_opencvs() -> None:
    """On what it is made for: a disk with a soft edge."""
    disk = cv2.circle(np.zeros((256, 256), np.uint8), (128, 128), 80, 255, -1)
    alpha = cv2.GaussianBlur(disk, (0, 0), 2)
    _, theirs = cv2.imencode(".png", alpha, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert len(png.encode(alpha)) <= len(theirs)


def test_what_is_encoded_is_decoded() -> None:
    image = np.arange(96, dtype=np.uint8).reshape(8, 12)
    blob = np.frombuffer(png.encode(image), np.uint8)
    np.testing.assert_array_equal(png.decode(blob, (12, 8)), image)


@pytest.mark.fault("M14")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blob: blob[:20], "is no PNG"),
        (lambda blob: blob[:-20], "is no PNG"),
        (lambda blob: b"\xff\xd8" + blob, "is no PNG"),
        (lambda blob: png.encode(np.zeros((12, 8), np.uint8)), r"is of \(8, 12\), expected"),
        # 2^31 pixels in the header, as many as the format allows.
        (lambda blob: blob[:16] + b"\x7f\xff\xff\xff" * 2 + blob[24:], "is of"),
    ],
)
def test_another_image_is_refused(change: Callable[[bytes], bytes], message: str) -> None:
    blob = change(png.encode(np.zeros((8, 12), np.uint8)))
    with pytest.raises(ValueError, match=message):
        png.decode(np.frombuffer(blob, np.uint8), (12, 8))
