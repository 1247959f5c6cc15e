"""Exposure and white balance over a clip, from thumbnails of its frames.

A camera's gain multiplies linear light everywhere by the same factor, the person's motion changes
some pixels only: the median over the pixels that are otherwise steadiest gives the gain.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.ingest.continuity import Thumbnails

DARK, BRIGHT = 12, 240  # levels of 255 beyond which a pixel tells nothing about a gain
_USABLE = 0.9  # share of the frames in which a pixel must lie between these
_STEADY = 0.3  # share of the usable pixels that is taken, the steadiest
_FEWEST = 12  # pixels
_FRAMES = 8  # fewer tell nothing
# Warned of: stops from the darkest to the brightest, and stops between colour channels.
EXPOSURE, BALANCE = 0.2, 0.18


@dataclass(frozen=True)
class Drift:
    """How the gains of a camera vary, from the 2nd to the 98th percentile of its frames.

    Attributes:
        exposure: stops (EV).
        balance: stops, of red or blue against green, whichever varies more.
        noise: stops by which the steadiest pixels vary besides.
    """

    exposure: float
    balance: float
    noise: float

    @property
    def notable(self) -> bool:
        """Whether exposure or white balance vary by more than is usual and than the noise."""
        # Where only the person is seen, skin and hair that turn look like another white balance.
        return self.exposure > max(EXPOSURE, self.noise / 2) or (
            self.balance > max(BALANCE, 1.5 * self.noise)
        )


def drift(thumbnails: Thumbnails) -> Drift | None:
    """Measure the variation of exposure and white balance.

    Returns:
        None where too few frames or, in darkness or glare, too few pixels tell.
    """
    levels = thumbnails.reshape(len(thumbnails), -1, 3)
    usable = ((levels > DARK) & (levels < BRIGHT)).all(2).mean(0) > _USABLE
    if len(levels) < _FRAMES or usable.sum() < _FEWEST:
        return None
    stops = np.log2(_linear(levels[:, usable]))
    stops -= np.median(stops, 0)
    gains = np.median(stops, 1)
    spread = np.percentile(abs(stops - gains[:, None]).max(2), 80, 0)
    steady = np.argsort(spread, kind="stable")[: max(_FEWEST, int(_STEADY * usable.sum()))]
    gains = np.median(stops[:, steady], 1)
    against_green = gains[:, [0, 2]] - gains[:, [1]]
    return Drift(
        _range(gains.mean(1)),
        max(map(_range, against_green.T)),
        float(np.median(spread[steady])),
    )


def _range(values: Float[np.ndarray, "N"]) -> float:
    low, high = np.percentile(values, [2, 98])
    return float(high - low)


def _linear(levels: np.ndarray) -> Float[np.ndarray, "..."]:
    """Linear light of sRGB levels (IEC 61966-2-1)."""
    value = np.maximum(levels, 1).astype(np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
