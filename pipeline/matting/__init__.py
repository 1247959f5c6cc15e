"""Matting: how much of each pixel is the person (head, neck, upper body).

A `Backend` turns the RGB images of one clip, in order, into its alphas. Every clip is a call of
its own, so that no state is carried from one clip into the next.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import UInt8

Backend = Callable[[Iterable[UInt8[np.ndarray, "H W 3"]]], Iterator[UInt8[np.ndarray, "H W"]]]
