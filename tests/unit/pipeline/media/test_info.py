import json

import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.media.info import VideoInfo, Window


def info(times: list[float], matrix: list[list[int]] | None = None) -> VideoInfo:
    matrix = matrix or [[1, 0], [0, 1]]
    return VideoInfo(64, 48, np.array(times), "h264", "yuv420p", matrix, ["a remark"])


def test_frames_per_second_come_from_the_times() -> None:
    assert info([2.0, 2.04, 2.08]).fps == pytest.approx(25)
    assert info([5.0]).fps == 1
    assert info([0.0, 0.1, 0.4]).fps == pytest.approx(5)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ([[1, 0], [0, 1]], "0"),
        ([[0, 1], [-1, 0]], "90"),
        ([[-1, 0], [0, -1]], "180"),
        ([[0, -1], [1, 0]], "270"),
        ([[-1, 0], [0, 1]], "180 mirrored"),
        ([[0, 1], [1, 0]], "90 mirrored"),
    ],
)
def test_the_display_matrix_in_words(matrix: list[list[int]], turn: str) -> None:
    assert info([0.0], matrix).turn == turn
    assert info([0.0], matrix).turned == (turn != "0")


def test_it_survives_the_way_between_processes() -> None:
    before = info([0.0, 0.04], [[0, 1], [-1, 0]])
    after = VideoInfo.from_json(json.loads(json.dumps(before.to_json())))
    np.testing.assert_array_equal(after.times, before.times)
    assert after.to_json() == before.to_json()


def test_a_window_cuts_its_box_and_checks_the_size() -> None:
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    window = Window((8, 6), (2, 1, 4, 3))
    np.testing.assert_array_equal(window.cut(image, "a.mp4"), image[1:4, 2:6])
    with pytest.raises(UserError, match=r"a\.mp4: a frame is 6 x 8, expected 8 x 6"):
        window.cut(image.swapaxes(0, 1), "a.mp4")
    with pytest.raises(UserError, match=r"b\.png: a frame is 8 x 7, expected 8 x 6"):
        window.check((8, 7), "b.png")
