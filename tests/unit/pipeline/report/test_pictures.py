import numpy as np
import pandas as pd
import pytest

from pipeline.report.pictures import MOST_PIXELS, data_uri, ranked, small


@pytest.mark.parametrize(
    ("psnr", "expected"),
    [
        ([], {}),
        ([20.0], {"best": 20.0}),
        ([20.0, 30.0], {"best": 30.0, "worst": 20.0}),
        ([20.0, 30.0, 22.0, 28.0, 21.0], {"best": 30.0, "median": 22.0, "worst": 20.0}),
    ],
)
def test_frames_are_ranked_by_psnr(psnr: list[float], expected: dict[str, float]) -> None:
    found = ranked(pd.DataFrame({"psnr": psnr}))
    assert {rank: row.psnr for rank, row in found.items()} == expected


def test_large_pictures_shrink_and_small_ones_stay() -> None:
    assert small(np.zeros((1000, 500, 3), np.uint8)).shape == (MOST_PIXELS, MOST_PIXELS // 2, 3)
    assert small(np.zeros((48, 32, 3), np.uint8)).shape == (48, 32, 3)


def test_a_picture_is_in_the_page() -> None:
    assert data_uri(b"\xff\xd8\xff") == "data:image/jpeg;base64,/9j/"
