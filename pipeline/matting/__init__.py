"""Matting: how much of each pixel is the person (head, neck, upper body).

A `Backend` turns the images of one clip into alphas; every clip starts a fresh run, so that no
state is carried from one clip into the next.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from jaxtyping import UInt8


class Backend(Protocol):
    """Alphas of one clip's RGB images, in order."""

    def __call__(
        self, images: Iterable[UInt8[np.ndarray, "H W 3"]]
    ) -> Iterator[UInt8[np.ndarray, "H W"]]: ...
