from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.capture.clip import Clip
from pipeline.media import Window
from tests.media_files import touch, write_clip


def test_numbered_images_are_a_clip(tmp_path: Path) -> None:
    for number in (4, 5, 8):
        cv2.imwrite(str(tmp_path / f"{number:06d}.png"), np.full((4, 6, 3), number, np.uint8))
    touch(tmp_path, "cover.png")
    clip = Clip("main", "0", tmp_path, image_fps=10)
    np.testing.assert_allclose(clip.times(), [0, 0.1, 0.4])
    frames = list(clip.frames())
    assert [number for number, _ in frames] == [0, 1, 2]
    assert [int(image[0, 0, 0]) for _, image in clip.frames([1])] == [5]
    assert [int(image[0, 0, 0]) for _, image in frames] == [4, 5, 8]
    touch(tmp_path, "000009.png")
    with pytest.raises(UserError, match=r"000009\.png is not an image"):
        list(clip.frames())


def numbered(folder: Path, *numbers: str) -> Clip:
    for number in numbers:
        cv2.imwrite(str(folder / f"{number}.png"), np.full((4, 6, 3), 9, np.uint8))
    return Clip("main", "0", folder)


def test_images_of_a_layout_keep_the_clock_of_their_sequence(tmp_path: Path) -> None:
    numbered(tmp_path, "7", "9")
    images = ((2, tmp_path / "7.png"), (4, tmp_path / "9.png"))
    clip = Clip("main", "0", tmp_path, 10, images)
    np.testing.assert_allclose(clip.times(), [0.2, 0.4])
    assert clip.numbers().tolist() == [2, 4]
    assert clip.image_files() == [tmp_path / "7.png", tmp_path / "9.png"]
    info = clip.info()
    assert (info.width, info.height, info.codec) == (6, 4, "png")


def test_only_the_window_of_wanted_frames_comes(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [40, 60, 80, 100])
    clip = Clip("main", "0", tmp_path / "a.mp4")
    frames = list(clip.frames([1, 3], Window((64, 48), (8, 4, 20, 10))))
    assert [number for number, _ in frames] == [1, 3]
    assert [image.shape for _, image in frames] == [(10, 20, 3)] * 2
    assert [image.mean() for _, image in frames] == pytest.approx([60, 100], abs=2)
    assert clip.numbers().tolist() == [0, 1, 2, 3]
    assert not clip.has_alpha()


@pytest.mark.fault("M16")
def test_a_number_out_of_range_is_refused(tmp_path: Path) -> None:
    clip = numbered(tmp_path, "0", "9" * 30)
    with pytest.raises(UserError, match=r"9\.png: its number is above 1000000000"):
        clip.times()


def test_one_number_twice_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no numbered images"):
        Clip("main", "0", tmp_path).times()
    with pytest.raises(UserError, match=r"01\.png and 1\.png have the same number"):
        numbered(tmp_path, "1", "01").times()


@pytest.mark.fault("H5")
@pytest.mark.parametrize(
    ("alphas", "expected"),
    [([255, 255, 255], False), ([255, 255, 0], True), ([0, 0, 0], True), ([None], False)],
)
def test_alpha_counts_where_it_is_not_opaque(
    tmp_path: Path, alphas: list[int | None], expected: bool
) -> None:
    for number, alpha in enumerate(alphas):
        pixels = np.full((4, 6, 3 if alpha is None else 4), 255, np.uint8)
        if alpha is not None:
            pixels[1, 2, 3] = alpha
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
    clip = Clip("main", "0", tmp_path)
    assert clip.has_alpha() == expected
    assert clip.info().pixel_format == ("rgba" if expected else "rgb24")


def test_samples_are_spread_over_the_images(tmp_path: Path) -> None:
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 6, 3), number, np.uint8))
    shades = [int(image[0, 0, 0]) for image in Clip("main", "0", tmp_path).sample(4)]
    assert shades == [0, 3, 6, 9]
