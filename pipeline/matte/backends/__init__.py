"""Matting: how much of each pixel is the person (head, neck, upper body).

One protocol, a file a backend. What a backend returns is the alpha alone: the image is never
changed by it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

Image = UInt8[np.ndarray, "H W 3"]
Alpha = UInt8[np.ndarray, "H W"]
Share = Float[np.ndarray, "h w"]
Name = Literal["mediapipe", "plate", "pymatting", "torchscript", "onnx"]


@runtime_checkable
class Backend(Protocol):
    """One clip's matting, called with the clip's RGB images in order.

    Every clip gets an object of its own (`start`), so that no state is carried from one clip
    into the next.
    """

    def __call__(self, image: Image, share: Share | None = None) -> Alpha:
        """The alpha of the clip's next image, 0 background to 255 person.

        Args:
            share: how much of each pixel's person is the subject (0..1, at the working size of
                `refine.shrink`), where the image shows several persons.
        """


@dataclass(frozen=True)
class Choice:
    """Which backend serves a camera, and what it needs; small enough to hand to a process.

    Attributes:
        name: of the backend.
        plate: the camera's empty scene, as its stored frames are framed, where there is one.
        model: file of the user's network (`torchscript`, `onnx`).
        sha256: of that file.
    """

    name: Name
    plate: Image | None = None
    model: Path | None = None
    sha256: str = ""

    @property
    def recurrent(self) -> bool:
        """Whether a frame may depend on all frames before it: such a clip is not cut in pieces."""
        return self.name in ("torchscript", "onnx")


def start(choice: Choice) -> Backend:
    """A backend for one clip.

    Raises:
        UserError: the network's file is not the one named, cannot be read or wants a plate.
    """
    # Each backend's libraries are imported only where it is used.
    if choice.name == "plate":
        from pipeline.matte.backends.plate import PlateMatting

        assert choice.plate is not None
        return PlateMatting(choice.plate)
    if choice.name == "pymatting":
        from pipeline.matte.backends.closed_form import ClosedForm

        return ClosedForm()
    if choice.name in ("torchscript", "onnx"):
        from pipeline.matte.backends import network

        return network.start(choice)
    from pipeline.matte.backends.mediapipe import Segmentation

    return Segmentation()
