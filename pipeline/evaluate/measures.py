"""The metrics of the tables, and their spread over frames.

Frames of a video resemble their neighbours. So the bootstrap draws blocks of consecutive frames
(Künsch, "The jackknife and the bootstrap for general stationary observations", 1989), circular, of
n^(1/3) frames each.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DRAWS, SEED = 1000, 0
LEVEL = 0.95
SPREAD = ("n", "std", "lo", "hi")  # of a metric `m` in summaries and CSV files: `m_n`, ...


class Measure(NamedTuple):
    """How a metric is shown: digits behind the point, whether more is better, and its unit."""

    digits: int
    higher: bool
    title: str


MEASURES = {
    "psnr": Measure(2, True, "PSNR in dB"),
    "ssim": Measure(3, True, "SSIM"),
    "ms_ssim": Measure(3, True, "MS-SSIM"),
    "lpips": Measure(3, False, "LPIPS"),
    "flip": Measure(3, False, "FLIP"),
    "landmarks": Measure(2, False, "landmark distance in % of the eyes' distance"),
    "mask_iou": Measure(3, True, "mask IoU"),
    "flicker": Measure(2, False, "flicker in % of the colours' range"),
}
METRICS = tuple(MEASURES)
# Of cross_reenactment, which compares landmarks (`pipeline.evaluate.faces`) and no colours.
CROSS_MEASURES = {
    "jaw": Measure(2, True, "correlation of the mouth's opening with the driver's"),
    "blink": Measure(2, True, "correlation of the eyes' opening with the driver's"),
    "identity": Measure(
        1, False, "distance of the neutral face from the avatar's own frames, in % of the eyes'"
    ),
}
REGIONAL = ("psnr", "ssim", "flip", "flicker")  # measured of regions, the others of all pixels


def spread(values: Float[np.ndarray, "N"]) -> dict[str, float]:
    """Number, mean, standard deviation and 95 % bootstrap interval of the mean.

    Args:
        values: of frames in their order; at least one.
    """
    low, high = np.quantile(drawn_means(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "lo": float(low),
        "hi": float(high),
    }


def drawn_means(values: Float[np.ndarray, "N"]) -> Float[np.ndarray, "D"]:
    """Means of `DRAWS` draws with replacement; the same values give the same ones."""
    count = len(values)
    size = max(1, round(count ** (1 / 3)))
    sums = np.cumsum([0.0, *values, *values[: size - 1]])
    blocks = (sums[size:] - sums[:-size]) / size
    drawn = np.random.default_rng(SEED).integers(count, size=(DRAWS, -(-count // size)))
    means: Float[np.ndarray, D] = blocks[drawn].mean(1)
    return means
