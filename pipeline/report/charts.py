"""Line charts as SVG. Colours are classes of the page's style, which knows the dark scheme."""

import math
from collections.abc import Mapping
from html import escape

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 720, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 28, 10, 26  # pixels around the plot
MOST_POINTS = 600  # of a line
_TICKS = 5

Line = tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]


def line_chart(label: str, lines: Mapping[str, Line]) -> str:
    """One chart; an empty text where no line has a finite point.

    Args:
        label: what it shows, for whoever cannot see it.
        lines: name to x and y. Long ones are averaged; a gap stays where y is not finite.
    """
    thinned = {name: thin(*line) for name, line in lines.items()}
    every = np.concatenate([np.zeros((2, 0)), *map(np.stack, thinned.values())], 1)
    known = np.isfinite(every[1])
    if not known.any():
        return ""
    # Charts of the same lines have one x axis, also where some of them have no y.
    (x0, x1), (y0, y1) = _range(every[0]), _range(every[1, known])

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for value in ticks(y0, y1):
        y = place(x0, value)[1]
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" class="y">{value:g}</text>')
    for value in ticks(x0, x1):
        x = place(value, y0)[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - 8}" class="x">{value:g}</text>')
    for number, (xs, ys) in enumerate(thinned.values()):
        pairs = zip(xs.tolist(), ys.tolist(), strict=True)
        drawn = [place(x, y) if math.isfinite(y) else None for x, y in pairs]
        parts.append(f'<path class="line l{number}" d="{_path(drawn)}"/>')
    return "".join(parts) + "</svg>"


def legend(names: list[str]) -> str:
    """The names of a chart's lines with their colours, where there are several."""
    if len(names) < 2:
        return ""
    keys = (f'<li><i class="l{k}"></i>{escape(name)}</li>' for k, name in enumerate(names))
    return f'<ul class="legend">{"".join(keys)}</ul>'


def thin(
    x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
    """Means of stretches of equal length, so that at most `MOST_POINTS` are left."""
    size = -(-len(x) // MOST_POINTS)
    if size <= 1:
        return np.asarray(x, float), np.asarray(y, float)
    starts = np.arange(0, len(x), size)
    counts = np.diff([*starts, len(x)])
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, about `_TICKS` of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _range(values: Float[np.ndarray, "N"]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def _path(points: list[tuple[float, float] | None]) -> str:
    """Lines between neighbours; a point alone between gaps is a dot (round caps)."""
    text, pen = "", "M"
    for number, point in enumerate(points):
        if point is None:
            pen = "M"
            continue
        text += f"{pen}{point[0]} {point[1]}"
        alone = pen == "M" and (number + 1 == len(points) or points[number + 1] is None)
        text += "h0" if alone else ""
        pen = "L"
    return text
