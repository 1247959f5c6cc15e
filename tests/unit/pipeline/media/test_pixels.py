import struct
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline import media
from tests.hard_cases import encode
from tests.media_files import gradient, grey_frames, levels_of, real_clip

QUARTER_TURNS = [
    matrix
    for a, b, c, d in product((-1, 0, 1), repeat=4)
    if abs(np.linalg.det(matrix := np.array([[a, b], [c, d]]))) == 1 and np.abs(matrix).sum() == 2
]


def set_display_matrix(path: Path, matrix: np.ndarray) -> None:
    """Write a matrix into the track header of an MP4 (ISO 14496-12, 8.3.2: 16.16 fixed point)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    (a, b), (c, d) = (matrix * 65536).tolist()
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("matrix", QUARTER_TURNS, ids=lambda m: str(m.tolist()))
def test_frames_are_turned_and_mirrored_as_tagged(tmp_path: Path, matrix: np.ndarray) -> None:
    path = tmp_path / "a.mp4"
    image = gradient()
    media.write_video(path, [image], 25, crf=1)
    set_display_matrix(path, matrix)
    ((_, read),) = media.read_video(path)
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    shown = np.stack([x, y], -1) @ matrix
    shown -= shown.min((0, 1))
    expected = np.zeros((*(shown.max((0, 1))[::-1] + 1), 3), np.uint8)
    expected[shown[..., 1], shown[..., 0]] = image
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 4
    info = media.probe(path)
    assert (info.width, info.height) == (read.shape[1], read.shape[0])
    assert info.turned == (matrix.tolist() != [[1, 0], [0, 1]])


def test_the_real_tagged_clip_shows_the_clean_one() -> None:
    clean = next(iter(media.read_video(real_clip("hard_clips/clean_reference.mp4"))))[1]
    turned = next(iter(media.read_video(real_clip("hard_clips/rotate90_and_mirror_tag.mp4"))))[1]
    np.testing.assert_array_equal(turned, clean.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx265", "yuv420p10le", {"x265-params": "log-level=none:lossless=1"}),
        ("a.mov", "prores_ks", "yuv422p10le", {}),
        ("a.avi", "mjpeg", "yuvj420p", {"qscale": "2"}),
        ("a.mkv", "libx264", "yuvj420p", {"crf": "1"}),
        ("a.webm", "libvpx-vp9", "yuv420p", {"crf": "4"}),
        ("a.mkv", "ffv1", "yuv420p", {}),
        ("a.mkv", "libsvtav1", "yuv420p", {"crf": "5"}),
    ],
)
def test_every_kind_of_coding_keeps_grey(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    """Limited and full range, 8 and 10 bits: black stays black and white white."""
    expected = [0, 60, 128, 200, 255]
    frames = grey_frames(expected, width=128, height=96)
    path = encode(tmp_path / name, frames, codec, pix_fmt, **options)
    assert levels_of(path) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize(("width", "height", "space"), [(1280, 720, "ITU709"), (64, 48, "ITU601")])
def test_untagged_colours_are_guessed_by_size(
    tmp_path: Path, width: int, height: int, space: str
) -> None:
    colour = np.full((height, width, 3), (200, 60, 30), np.uint8)
    frame = av.VideoFrame.from_ndarray(colour, format="rgb24")
    converted = frame.reformat(format="yuv444p", dst_colorspace=space, dst_color_range="MPEG")
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        converted.pts = 0
        converted.colorspace = 2  # unspecified
        file.mux(stream.encode(converted))
        file.mux(stream.encode())
    ((_, image),) = media.read_video(tmp_path / "a.avi")
    assert image.mean((0, 1)) == pytest.approx((200, 60, 30), abs=3)


@pytest.mark.fault("L3")
@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (14, "ICtCp")])
def test_a_colour_matrix_that_is_not_supported_is_named(
    tmp_path: Path, matrix: int, name: str
) -> None:
    def tag(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace = matrix

    path = encode(tmp_path / "a.mkv", prepare=tag)
    for look in (media.probe, lambda p: list(media.read_video(p))):
        with pytest.raises(UserError, match=f"the matrix {name}, which is not supported"):
            look(path)


@pytest.mark.fault("H5")
def test_a_hidden_colour_of_a_video_with_alpha_is_not_shown(tmp_path: Path) -> None:
    """The right half is transparent magenta."""
    pixels = np.full((48, 64, 4), (30, 180, 60, 255), np.uint8)
    pixels[:, 32:] = (255, 0, 255, 0)
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgra"
        frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="bgra")
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert "alpha channel is not used" in media.probe(tmp_path / "a.mkv").remarks[0]
    ((_, image),) = media.read_video(tmp_path / "a.mkv")
    np.testing.assert_array_equal(image[:, :32], pixels[:, :32, :3])
    assert image[:, 32:].max() == 0
