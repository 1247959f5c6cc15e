from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from tests.hard_cases import encode
from tests.media_files import real_clip


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
