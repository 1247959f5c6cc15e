import pytest

from avatar.train.presets import PAPER, QUICK
from benchmarks.quality_per_image import PRESETS, Point, reached, shortened, verdict


def points(*values: tuple[int, float]) -> list[Point]:
    """Images and dB, the same for both kinds; a second for every 100 images."""
    return [
        Point(images, images / 100, 10, {"novel_view": psnr, "self_reenactment": psnr})
        for images, psnr in values
    ]


def test_a_shortened_preset_has_shorter_intervals() -> None:
    short = shortened(PAPER, 60_000)
    assert (short.images, short.sh_interval) == (60_000, 100)
    density = short.density
    assert (density.interval, density.first, density.last) == (200, 1000, 60_000)
    assert density.reset_interval == 6000
    assert short.rates == PAPER.rates
    assert PRESETS["quick"] == QUICK


def test_where_a_level_is_reached() -> None:
    found = points((1000, 20.0), (2000, 24.0))
    assert reached(found, "novel_view", 19.0) == (1000, 10)
    assert reached(found, "novel_view", 23.0) == pytest.approx((1750, 17.5))
    assert reached(found, "novel_view", 25.0) is None


def test_the_verdict_names_what_is_missed() -> None:
    runs = {
        "demo": {
            "paper": points((60_000, 25.0)),
            "fast": points((6000, 25.0)),
            "quick": points((5000, 24.0)),
        }
    }
    text = verdict(runs)
    assert "missed: demo, `quick`, new view; demo, `quick`, held-out motion." in text
    assert "`fast`" not in text
    runs["demo"]["paper"] = points((30_000, 23.0))
    assert verdict(runs).startswith("Not known: the run of `paper`")
