import numpy as np
import pytest

from avatar.base.arrays import FLOATS, INTEGERS, NUMBERS, TEXT, Spec, check


def test_named_sizes_are_learnt_and_then_compared() -> None:
    sizes: dict[str, int] = {}
    check("verts", np.zeros((5, 3)), Spec(FLOATS, ("V", 3)), sizes)
    check("weights", np.zeros(5, int), Spec(NUMBERS, ("V",)), sizes)
    assert sizes == {"V": 5}
    with pytest.raises(ValueError, match=r"mask has shape \(4,\), expected \(5,\)"):
        check("mask", np.zeros(4), Spec(FLOATS, ("V",)), sizes)


@pytest.mark.parametrize(
    ("array", "spec", "message"),
    [
        (np.zeros(3), Spec(INTEGERS, ("N",)), "x is float64, expected integers"),
        (np.array(["a"]), Spec(NUMBERS, ("N",)), "x is <U1, expected numbers"),
        (np.zeros(3), Spec(TEXT, ()), "x is float64, expected text"),
        (np.array([None]), Spec(NUMBERS, ("N",)), "x is object"),
        (np.zeros(3, complex), Spec(NUMBERS, ("N",)), "x is complex128"),
        (np.zeros((2, 2)), Spec(FLOATS, ("N", 3)), r"shape \(2, 2\), expected \(N, 3\)"),
        (np.zeros(()), Spec(FLOATS, ("N",)), r"shape \(\), expected \(N,\)"),
        (np.array([1.0, np.nan]), Spec(FLOATS, ("N",)), "x holds NaN or infinity"),
        (np.array([np.inf], np.float32), Spec(NUMBERS, ("N",)), "x holds NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_named(array: np.ndarray, spec: Spec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check("x", array, spec, {})
