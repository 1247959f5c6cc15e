from pathlib import Path

import av
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


def test_alpha_is_kept(tmp_path: Path) -> None:
    image = np.dstack([gradient(), np.arange(gradient().size // 3).reshape(gradient().shape[:2])])
    frames = [np.roll(image.astype(np.uint8), 8 * k, 1) for k in range(3)]
    media.write_alpha_video(tmp_path / "a.mov", frames, 24)
    with av.open(str(tmp_path / "a.mov")) as container:
        read = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
    for found, expected in zip(read, frames, strict=True):
        difference = np.abs(found.astype(int) - expected)
        assert difference[..., 3].max() <= 1
        assert difference[..., :3].mean() < 2
    with pytest.raises(ValueError, match="no frames"):
        media.write_alpha_video(tmp_path / "b.mov", [], 24)
    with pytest.raises(ValueError, match="after"):
        media.write_alpha_video(tmp_path / "b.mov", [frames[0], frames[0][:16]], 24)
