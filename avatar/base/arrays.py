"""What an array out of a file must be: its kind of numbers, its shape, finite."""

from typing import NamedTuple

import numpy as np

FLOATS, INTEGERS, FLAGS, TEXT = "f", "iu", "b", "US"  # NumPy's kinds
NUMBERS = FLOATS + INTEGERS


class Spec(NamedTuple):
    """What is expected of an array.

    Attributes:
        kinds: NumPy's kinds that it may have.
        shape: sizes, or the names of sizes that several arrays share.
    """

    kinds: str
    shape: tuple[int | str, ...]


def check(name: str, array: np.ndarray, spec: Spec, sizes: dict[str, int]) -> None:
    """Compare an array with its specification.

    Args:
        name: of the array, for the message.
        sizes: sizes known by name; a size met for the first time is added.
    Raises:
        ValueError: another kind or shape, or a value that is not finite.
    """
    if array.dtype.kind not in spec.kinds:
        kinds = {FLOATS: "fractions", INTEGERS: "integers", FLAGS: "true or false", TEXT: "text"}
        raise ValueError(f"{name} is {array.dtype}, expected {kinds.get(spec.kinds, 'numbers')}")
    expected = tuple(
        sizes.get(size, size) if isinstance(size, str) else size for size in spec.shape
    )
    fits = all(
        isinstance(want, str) or got == want
        for got, want in zip(array.shape, expected, strict=False)
    )
    if array.ndim != len(expected) or not fits:
        shown = ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "")
        raise ValueError(f"{name} has shape {array.shape}, expected ({shown})")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    names = zip(spec.shape, array.shape, strict=True)
    sizes |= {want: got for want, got in names if isinstance(want, str)}
