import struct
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline import media
from tests.hard_cases import encode, skip_frames
from tests.media_files import gradient, grey_frames, real_clip

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


def test_damage_costs_frames_and_shows_no_wrong_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Key frames every six: what follows the damage comes back with the next one."""
    frames = [image for _, image in media.read_video(real_clip("hard_clips/video_only.mp4"))]
    path = encode(tmp_path / "a.mkv", frames, g="6")
    clean = [image for _, image in media.read_video(path)]
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(len(data) // 3, len(data) // 2, 3):
        data[place] ^= 255
    path.write_bytes(data)
    numbers, errors = [], []
    for time, image in media.read_video(path):
        numbers.append(round(time * 30))
        errors.append(np.abs(image.astype(int) - clean[numbers[-1]]).mean())
    assert 15 < len(numbers) < 30
    assert {0, 29} <= set(numbers)
    assert max(errors) < 1
    assert f"{len(numbers)} frames are good" in caplog.text


def test_samples_are_spread_over_the_clip(tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", grey_frames(list(range(20, 220, 2))), 25, crf=1)
    levels = [int(image.mean()) for image in media.sample_frames(tmp_path / "a.mp4", 10)]
    assert 9 <= len(levels) <= 10
    assert levels == sorted(levels)
    assert levels[0] < 30
    assert levels[-1] > 180


def levels(path: Path) -> list[int]:
    return [round(float(image.mean())) for _, image in media.read_video(path)]


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
    assert levels(path) == pytest.approx(expected, abs=4)


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


def test_times_are_those_of_presentation(tmp_path: Path) -> None:
    stamps = [0, 1, 3, 4, 6, 7, 37, 38]
    path = encode(tmp_path / "a.mkv", stamps=stamps, bf="2")
    expected = np.array(stamps) / 30
    np.testing.assert_allclose(media.frame_times(path), expected, atol=1e-3)
    times = [time for time, _ in media.read_video(path)]
    np.testing.assert_allclose(times, media.frame_times(path), atol=1e-9)


def test_an_edit_list_leaves_frames_out(tmp_path: Path) -> None:
    shades = list(range(20, 220, 10))
    path = encode(tmp_path / "a.mp4", grey_frames(shades), crf="1", g="20", bf="0")
    skip_frames(path, 5)
    assert levels(path) == pytest.approx(shades[5:], abs=3)
    assert len(media.frame_times(path)) == 15


@pytest.mark.fault("M6")
@pytest.mark.parametrize(
    ("stamps", "unique"), [([0, 1, 1, 2, 2, 2, 3, 4], [0, 1, 3, 6, 7]), ([5] * 8, [0])]
)
def test_of_frames_with_one_time_the_first_is_given(
    tmp_path: Path, stamps: list[int], unique: list[int]
) -> None:
    shades = list(range(20, 180, 20))
    path = encode(tmp_path / "a.mkv", grey_frames(shades), codec="ffv1", stamps=stamps)
    info = media.probe(path)
    assert len(info.times) == len(unique)
    assert info.remarks == [
        f"{8 - len(unique)} frames have the time of another one: they are left out"
    ]
    assert levels(path) == pytest.approx([shades[k] for k in unique], abs=2)
    found = [time for time, _ in media.read_video(path, info.times.tolist())]
    np.testing.assert_allclose(found, info.times)


@pytest.mark.fault("L3")
def test_negative_times_are_no_sign_of_a_cut(tmp_path: Path) -> None:
    stamps = [k - 90 for k in range(60)]
    path = encode(
        tmp_path / "a.ts", grey_frames([90] * 60), stamps=stamps, bf="0",
        mux={"avoid_negative_ts": "disabled", "muxdelay": "0"},
    )  # fmt: skip
    info = media.probe(path)
    assert info.times[0] < 0
    assert info.remarks == []
    assert len(levels(path)) == 60


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
