import numpy as np
import pandas as pd
import pytest

from pipeline.report.pictures import data_uri, ranked, small


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
    assert small(np.zeros((1000, 500, 3), np.uint8), 480).shape == (480, 240, 3)
    assert small(np.zeros((48, 32, 3), np.uint8), 480).shape == (48, 32, 3)


def test_a_picture_is_in_the_page_and_a_coarser_one_is_smaller() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    fine, coarse = data_uri(noise, 64, 95), data_uri(noise, 32, 50)
    assert fine.startswith("data:image/jpeg;base64,/9j/")
    assert len(coarse) < len(fine) / 4
