import re

import numpy as np

from pipeline.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    legend,
    line_chart,
    thin,
    ticks,
)  # fmt: skip

MIDDLE = (HEIGHT - BOTTOM + TOP) / 2


def test_a_line_fills_the_plot_and_leaves_gaps() -> None:
    svg = line_chart("PSNR", {"a": (np.arange(5.0), np.array([20.0, 30, np.nan, 25, np.nan]))})
    found = re.search(r'class="line l0" d="([^"]*)"', svg)
    first, third = (round(LEFT + (WIDTH - LEFT - RIGHT) * k / 4, 1) for k in (1, 3))
    # x spans all points, 0 to 4, whether they have a y or not; the last one that has stands alone.
    assert found
    assert found[1] == (f"M{LEFT}.0 {HEIGHT - BOTTOM}.0L{first} {TOP}.0M{third} {MIDDLE}h0")


def test_a_chart_without_a_point_is_empty() -> None:
    assert line_chart("PSNR", {"a": (np.arange(3.0), np.full(3, np.nan))}) == ""
    assert line_chart("PSNR", {}) == ""


def test_one_point_is_drawn_in_the_middle() -> None:
    assert f"{MIDDLE}h0" in line_chart("Loss", {"a": (np.array([7.0]), np.array([3.0]))})


def test_names_are_escaped() -> None:
    assert "<b>" not in line_chart("<b>", {"a": (np.arange(2.0), np.arange(2.0))})
    assert "<b>" not in legend(["<b>", "other"])
    assert legend(["one"]) == ""


def test_long_lines_become_means() -> None:
    values = np.arange(2.0 * MOST_POINTS + 1)
    x, y = thin(values, 2 * values)
    assert len(x) <= MOST_POINTS
    assert x[:2].tolist() == [1.0, 4.0]  # of 0, 1, 2 and of 3, 4, 5
    assert y[:2].tolist() == [2.0, 8.0]


def test_ticks_are_round_and_inside() -> None:
    assert ticks(18.3, 32.1) == [20.0, 25.0, 30.0]
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
