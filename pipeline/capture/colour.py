"""Colour correction by a matrix in linear light, as NeRSemble's calibration gives one a camera.

The matrix multiplies a polynomial of linear red, green and blue, whose terms follow from its width
(Cheung et al., "A comparative study of the characterisation of colour cameras by means of neural
networks and polynomial transforms", Coloration Technology 120, 2004); three columns are a plain
3x3 matrix. Linear is what sRGB's transfer function (IEC 61966-2-1) undoes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from avatar.base.errors import UserError

_STEPS = 4096  # of linear light on the way back: less than half a level of the darkest sRGB step


def _terms(linear: np.ndarray, width: int) -> list[np.ndarray]:
    red, green, blue = linear
    plain = [red, green, blue]
    pairs = [red * green, red * blue, green * blue]
    squares = [red**2, green**2, blue**2]
    product, one = [red * green * blue], [np.ones_like(red)]
    return {
        3: plain,
        4: plain + one,
        5: plain + product + one,
        7: plain + pairs + one,
        8: plain + pairs + product + one,
        10: plain + pairs + squares + one,
        11: plain + pairs + squares + product + one,
    }[width]


WIDTHS = (3, 4, 5, 7, 8, 10, 11)


def _to_linear(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _from_linear(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


_LINEAR = _to_linear(np.arange(256) / 255).astype(np.float32)
# The square root spreads the dark end, where sRGB is steep, over more steps.
_STORED = np.round(255 * _from_linear((np.arange(_STEPS) / (_STEPS - 1)) ** 2)).astype(np.uint8)


@dataclass(frozen=True)
class ColourCorrection:
    """A camera's colour matrix.

    Attributes:
        matrix: carries the terms of linear RGB to linear RGB.
    """

    matrix: Float[np.ndarray, "3 terms"]

    @classmethod
    def read(cls, value: object, where: str) -> "ColourCorrection":
        """Check a matrix from a file; `where` names it in messages.

        Raises:
            UserError: not three rows of one of the known widths, or not finite.
        """
        try:
            matrix = np.asarray(value, np.float64)
        except (TypeError, ValueError, OverflowError):
            matrix = np.empty(0)
        if matrix.ndim != 2 or len(matrix) != 3 or matrix.shape[1] not in WIDTHS:
            widths = ", ".join(map(str, WIDTHS))
            raise UserError(
                f"{where}: expected a colour matrix of 3 rows and {widths} columns, got shape "
                f"{matrix.shape}: fix or remove it"
            )
        if not np.isfinite(matrix).all():
            raise UserError(f"{where}: the colour matrix is not finite: fix or remove it")
        return cls(matrix)

    def apply(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Correct an sRGB image."""
        linear = _LINEAR[image.reshape(-1, 3).T]
        terms = np.stack(_terms(linear, self.matrix.shape[1]))
        corrected = self.matrix.astype(np.float32) @ terms
        steps = np.sqrt(np.clip(corrected, 0, 1)) * (_STEPS - 1) + 0.5
        return np.ascontiguousarray(_STORED[steps.astype(np.uint16)].T).reshape(image.shape)
