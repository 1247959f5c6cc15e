from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from tests.hard_cases import encode
from tests.media_files import grey_frames, real_clip


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


def test_only_wanted_frames_come(tmp_path: Path) -> None:
    shades = list(range(20, 220, 10))
    path = encode(tmp_path / "a.mp4", grey_frames(shades), crf="1")
    wanted = media.frame_times(path)[[2, 3, 11]]
    read_frames = list(media.read_video(path, wanted.tolist()))
    np.testing.assert_allclose([time for time, _ in read_frames], wanted)
    assert [image.mean() for _, image in read_frames] == pytest.approx([40, 50, 130], abs=3)


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", grey_frames([10] * 4))
    assert len(media.frame_times(path)) == 4
    encode(path, grey_frames([10] * 7))
    assert len(media.frame_times(path)) == 7
