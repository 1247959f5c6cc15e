from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from tests.hard_cases import encode
from tests.media_files import grey_frames, levels_of


def test_samples_are_spread_over_the_clip(tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", grey_frames(list(range(20, 220, 2))), 25, crf=1)
    levels = [int(image.mean()) for image in media.sample_frames(tmp_path / "a.mp4", 10)]
    assert 9 <= len(levels) <= 10
    assert levels == sorted(levels)
    assert levels[0] < 30
    assert levels[-1] > 180


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
        f"{8 - len(unique)} of 8 frames repeat the time of another one: they are left out"
    ]
    assert levels_of(path) == pytest.approx([shades[k] for k in unique], abs=2)
    found = [time for time, _ in media.read_video(path, info.times.tolist())]
    np.testing.assert_allclose(found, info.times)
