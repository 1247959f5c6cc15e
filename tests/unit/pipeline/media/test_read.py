import os
import struct
import subprocess
import sys
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline import media
from pipeline.media import ask, limits
from tests.hard_cases import encode, skip_frames
from tests.media_files import grey_frames, real_clip


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """Red grows to the right, green downwards: every pixel tells where it came from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 90)], 2).astype(np.uint8)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    image = gradient()
    frames = [np.roll(image, 8 * k, 1) for k in range(6)]
    media.write_video(tmp_path / "a.mp4", frames, fps=30000 / 1001, crf=1)
    read = list(media.read_video(tmp_path / "a.mp4"))
    assert [time for time, _ in read] == pytest.approx([k * 1001 / 30000 for k in range(6)])
    # Colours at half resolution and the jump at the roll's seam cost a little.
    errors = [np.abs(a.astype(int) - b).mean() for (_, a), b in zip(read, frames, strict=True)]
    assert max(errors) < 2.0
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_colours_keep_their_values(tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (20, 20, 20), (235, 180, 150)]
    frames = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    media.write_video(tmp_path / "a.mp4", frames, 25, crf=1)
    for (_, image), colour in zip(media.read_video(tmp_path / "a.mp4"), colours, strict=True):
        assert image.mean((0, 1)) == pytest.approx(colour, abs=3)


def test_odd_sizes_are_padded_with_their_edge(tmp_path: Path) -> None:
    image = gradient(31, 45)
    media.write_video(tmp_path / "a.mp4", [image], 25, crf=1)
    ((_, read),) = media.read_video(tmp_path / "a.mp4")
    assert read.shape == (32, 46, 3)
    assert np.abs(read[:31, :45].astype(int) - image).mean() < 4


@pytest.mark.parametrize(
    "frames", [[], [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)]]
)
def test_unfit_frames_leave_no_file(tmp_path: Path, frames: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"a\.mp4"):
        media.write_video(tmp_path / "a.mp4", frames, 25)
    assert list(tmp_path.iterdir()) == []


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
    ("name", "count"),
    [
        ("clean_reference.mp4", 30),
        ("broken_audio_track.mp4", 30),
        ("wrong_box_size.mp4", 30),
        ("second_empty_video_stream.mp4", 30),
        ("mkv_no_frame_count.mkv", 30),
        ("video_only.mp4", 30),
        ("hevc_10bit_no_face.mp4", 28),
    ],
)
def test_real_clips_yield_all_frames_at_their_true_times(name: str, count: int) -> None:
    path = real_clip(f"hard_clips/{name}")
    times = [time for time, _ in media.read_video(path)]
    assert len(times) == count
    np.testing.assert_allclose(media.frame_times(path), times, atol=1e-9)
    assert 20 < media.probe(path).fps < 31


def test_a_cut_stream_yields_its_good_frames(tmp_path: Path) -> None:
    data = real_clip("hard_clips/mkv_no_frame_count.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 3 // 4])
    count = sum(1 for _ in media.read_video(tmp_path / "cut.mkv"))
    assert 10 < count < 30


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


def write_audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.mp4", None, "does not exist"),
        ("empty.mp4", b"", r"is empty \(0 bytes\)"),
        ("text.mp4", b"This is not a video.\n" * 200, "is not a video"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\n{good}\n#EXT-X-ENDLIST\n", "is not a video"),
        ("concat.mp4", b"ffconcat version 1.0\nfile '{good}'\n", "is not a video"),
    ],
)
def test_what_is_no_video_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    good = tmp_path / "good.mp4"
    media.write_video(good, grey_frames([50]), 25)
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content.replace(b"{good}", str(good).encode()))
    for look in (media.probe, media.frame_times, lambda p: list(media.read_video(p))):
        with pytest.raises(UserError, match=message) as caught:
            look(path)
        assert str(path) in str(caught.value)


def test_audio_and_folders_are_refused(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav")
    with pytest.raises(UserError, match="holds no video stream"):
        media.frame_times(tmp_path / "a.wav")
    with pytest.raises(UserError, match="is not a plain file"):
        media.frame_times(tmp_path)
    with pytest.raises(UserError, match="holds no video stream"):
        media.frame_times(real_clip("hard_clips/audio_only.mp3"))


@pytest.mark.parametrize(
    "name", ["a;touch X.mp4", "-i.mp4", "a b'\"$(x).mp4", "http:x.mp4", "ü.mp4"]
)
def test_odd_file_names_are_only_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    media.write_video(name, grey_frames([50, 60]), 25)
    assert len(list(media.read_video(name))) == 2
    assert [p.name for p in tmp_path.iterdir()] == [name]


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


def test_only_wanted_frames_come(tmp_path: Path) -> None:
    shades = list(range(20, 220, 10))
    path = encode(tmp_path / "a.mp4", grey_frames(shades), crf="1")
    wanted = media.frame_times(path)[[2, 3, 11]]
    read_frames = list(media.read_video(path, wanted.tolist()))
    np.testing.assert_allclose([time for time, _ in read_frames], wanted)
    assert [image.mean() for _, image in read_frames] == pytest.approx([40, 50, 130], abs=3)


def test_videos_can_be_read_side_by_side_and_left_early(tmp_path: Path) -> None:
    first, second = (
        encode(tmp_path / name, grey_frames([level] * 30))
        for name, level in (("a.mp4", 40), ("b.mp4", 90))
    )
    both = zip(media.read_video(first), media.read_video(second), strict=True)
    for number, ((_, one), (_, other)) in enumerate(both):
        assert (round(one.mean()), round(other.mean())) == pytest.approx((40, 90), abs=2)
        if number == 20:
            break
    assert len(list(media.read_video(first))) == 30


def test_one_process_reads_one_video_after_the_other(tmp_path: Path) -> None:
    ask.close_idle()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        path = encode(tmp_path / name, grey_frames([40] * 12))
        assert len(list(media.read_video(path))) == media.probe(path).times.size
    assert len(ask._idle) == 1


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", grey_frames([10] * 4))
    assert len(media.frame_times(path)) == 4
    encode(path, grey_frames([10] * 7))
    assert len(media.frame_times(path)) == 7


BOUND = """
import sys
from pipeline.media import limits
limits.bind()
try:
    bytearray(limits.MEMORY_BYTES)
except MemoryError:
    print("memory")
try:
    open(sys.argv[1], "ab", buffering=0).write(b"x")
except OSError:
    print("file")
"""


def test_the_worker_is_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    root = str(Path(__file__).resolve().parents[4])
    command = [sys.executable, "-c", BOUND, str(path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": root}, stdout=subprocess.PIPE)
    assert done.stdout.split() == [b"memory", b"file"]
    assert path.stat().st_size == 0
    path.write_bytes(bytes(3 << 20))
    assert limits.cpu_seconds(path) == limits.BASE_SECONDS + 3 * limits.SECONDS_PER_MIB


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -SEGV $$", r"made the decoder crash \(SIGSEGV\)"),
        ("kill -XCPU $$", "took more processor time or memory"),
        ("exit 3", r"made the decoder fail \(exit code 3\)"),
        ("exec sleep 60", "nothing could be read for 0 s"),
    ],
)
def test_a_worker_that_ends_badly_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    worker = tmp_path / "worker"
    worker.write_text(f"#!/bin/sh\n{script}\n")
    worker.chmod(0o755)
    ask.close_idle()
    monkeypatch.setattr(sys, "executable", str(worker))
    monkeypatch.setattr(limits, "SILENCE", 0.3)
    with pytest.raises(UserError, match=message):
        media.probe(tmp_path / "a.mp4")
