from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from tests.hard_cases import encode, skip_frames
from tests.media_files import grey_frames, levels_of


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
    assert levels_of(path) == pytest.approx(shades[5:], abs=3)
    assert len(media.frame_times(path)) == 15


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
    assert len(levels_of(path)) == 60
