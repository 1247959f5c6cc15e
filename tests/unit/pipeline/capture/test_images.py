import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from avatar.base.errors import UserError
from pipeline.capture import images

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types of PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path: Path, bits: int, colour_type: int, row: bytes, *between: bytes) -> Path:
    """Two rows of two pixels, each `row`."""
    header = struct.pack(">2I5B", 2, 2, bits, colour_type, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(2 * (b"\0" + row)))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    path.write_bytes(start + b"".join(between) + data + chunk(b"IEND", b""))
    return path


def shorts(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


# Two pixels of a row: colours (RGB), alpha or None.
KINDS = {
    "grey 8": ((8, GREY, bytes([7, 200])), [[7] * 3, [200] * 3], None),
    "grey 1": ((1, GREY, bytes([0b01000000])), [[0] * 3, [255] * 3], None),
    "grey 16": ((16, GREY, shorts(0x1234, 0xFEDC)), [[0x12] * 3, [0xFE] * 3], None),
    "RGB 16": (
        (16, RGB, shorts(0x1234, 0x5678, 0x9ABC, 0, 255, 256)),
        [[0x12, 0x56, 0x9A], [0, 0, 1]],
        None,
    ),
    "RGBA 8": ((8, RGBA, bytes([9, 8, 7, 0, 1, 2, 3, 100])), [[9, 8, 7], [1, 2, 3]], [0, 100]),
    "RGBA 16": (
        (16, RGBA, shorts(0x0900, 0x0800, 0x0700, 0, 0x1000, 0x2000, 0x3000, 0x8000)),
        [[9, 8, 7], [16, 32, 48]],
        [0, 128],
    ),
    "grey and alpha 8": (
        (8, GREY_ALPHA, bytes([9, 0, 200, 100])),
        [[9] * 3, [200] * 3],
        [0, 100],
    ),
    "grey and alpha 16": (
        (16, GREY_ALPHA, shorts(0x0900, 0, 0xC800, 0x6400)),
        [[9] * 3, [200] * 3],
        [0, 100],
    ),
    "palette with transparency": (
        (8, PALETTE, bytes([0, 1]), chunk(b"PLTE", bytes([255, 0, 9, 0, 255, 0])),
         chunk(b"tRNS", bytes([0]))),
        [[255, 0, 9], [0, 255, 0]],
        [0, 255],
    ),
    "transparent grey 16": (
        (16, GREY, shorts(0x1234, 0x1235), chunk(b"tRNS", shorts(0x1234))),
        [[0x12] * 3, [0x12] * 3],
        [0, 255],
    ),
    "transparent RGB": (
        (8, RGB, bytes([255, 0, 255, 1, 2, 3]), chunk(b"tRNS", shorts(255, 0, 255))),
        [[255, 0, 255], [1, 2, 3]],
        [0, 255],
    ),
    "transparent RGB 16": (
        (16, RGB, shorts(0xFF00, 0, 0xFF00, 1, 2, 3), chunk(b"tRNS", shorts(0xFF00, 0, 0xFF00))),
        [[255, 0, 255], [0, 0, 0]],
        [0, 255],
    ),
}  # fmt: skip


@pytest.mark.fault("M3")
@pytest.mark.fault("H5")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_png_by_hand(tmp_path: Path, kind: str) -> None:
    (bits, colour_type, row, *between), rgb, alpha = KINDS[kind]
    path = write_png(tmp_path / "a.png", bits, colour_type, row, *between)
    picture = images.read_picture(path)
    assert picture.rgb.tolist() == [rgb, rgb]
    assert images.may_have_alpha(path) == (alpha is not None)
    if alpha is None:
        assert picture.alpha is None
        assert images.read_image(path).tolist() == [rgb, rgb]
    else:
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [alpha, alpha]
        # Over black, rounded: what is transparent is not seen.
        seen = np.round(np.array(rgb) * np.array(alpha)[:, None] / 255)
        assert images.read_image(path).tolist() == [seen.tolist(), seen.tolist()]


@pytest.mark.fault("M3")
def test_16_bits_of_another_writer_keep_their_picture(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), np.tile(ramp, (4, 1)))
    read = images.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read, np.repeat(np.tile(ramp >> 8, (4, 1))[..., None], 3, 2))


def test_exif_orientation_turns_colours_and_alpha(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 2] = [10, 20, 30, 255]
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    picture = images.read_picture(tmp_path / "a.png")
    assert picture.rgb.shape == (3, 2, 3)
    assert picture.rgb[2, 1].tolist() == [10, 20, 30]
    assert picture.alpha is not None
    assert np.argwhere(picture.alpha).tolist() == [[2, 1]]


@pytest.mark.parametrize("read", [images.read_image, images.may_have_alpha])
def test_what_is_no_image_is_refused(tmp_path: Path, read) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(UserError, match=r"a\.png is not a plain file"):
        read(path)
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png is not an image that can be read"):
        read(path)
    write_png(path, 8, GREY, bytes([7, 200]))
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(UserError, match=r"a\.png is not an image that can be read"):
        images.read_image(path)


@pytest.mark.fault("L7")
def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match="is not a plain file"):
        images.read_image(tmp_path / "a.png")


def test_too_large_an_image_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">2I5B", 60_000, 60_000, 8, GREY, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    (tmp_path / "a.png").write_bytes(start + data + chunk(b"IEND", b""))
    with pytest.raises(UserError, match=r"a\.png"):
        images.read_image(tmp_path / "a.png")
