import numpy as np
import pytest

from avatar.base.errors import UserError
from pipeline.capture.colour import WIDTHS, ColourCorrection

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def plain(width: int) -> np.ndarray:
    """Red, green and blue as they are: the other terms count nothing."""
    return np.eye(3, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_identity_changes_nothing(width: int) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    for image in (IMAGE, ramp):
        np.testing.assert_array_equal(ColourCorrection(plain(width)).apply(image), image)


def test_light_is_halved_where_it_is_linear() -> None:
    """sRGB 188 is half as bright as 255: ((188/255 + 0.055)/1.055)^2.4 = 0.503."""
    white = np.full((2, 2, 3), 255, np.uint8)
    assert (ColourCorrection(0.503 * np.eye(3)).apply(white) == 188).all()
    assert (ColourCorrection(7.0 * np.eye(3)).apply(white) == 255).all()
    assert (ColourCorrection(-1.0 * np.eye(3)).apply(white) == 0).all()


@pytest.mark.parametrize(
    ("width", "column", "expected"),
    # Linear red, green and blue of the pixel below are 1, 1 and 0.503.
    [(4, 3, 1.0), (5, 3, 0.503), (7, 4, 0.503), (8, 6, 0.503), (10, 8, 0.253), (11, 9, 0.503)],
)
def test_each_width_has_its_terms(width: int, column: int, expected: float) -> None:
    matrix = np.zeros((3, width))
    matrix[0, column] = 1
    pixel = np.array([[[255, 255, 188]]], np.uint8)
    found = ColourCorrection(matrix).apply(pixel)[0, 0, 0] / 255
    assert ((found + 0.055) / 1.055) ** 2.4 == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    "value", [None, "x", [[1, 0], [0, 1]], np.zeros((3, 6)), [[1, 2, "a"]] * 3]
)
def test_what_is_no_matrix_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="file: expected a colour matrix"):
        ColourCorrection.read(value, "file")
    with pytest.raises(UserError, match="not finite"):
        ColourCorrection.read(np.full((3, 3), np.nan), "file")
