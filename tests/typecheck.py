"""The checker of signatures in tests: beartype, and what it must let pass."""

from collections.abc import Callable

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintPep673Exception

# An int serves where a float is asked for, and NumPy's scalars where Python's are.
_NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.number})
_check = beartype(conf=BeartypeConf(hint_overrides=_NUMBERS))


def check(function: Callable) -> Callable:
    """Check a function's arguments and result; not where it says `Self`, which needs the class."""
    try:
        return _check(function)
    except BeartypeDecorHintPep673Exception:
        return function
