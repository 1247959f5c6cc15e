from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from tests.media_files import gradient


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
