"""The settings of matte."""

from dataclasses import dataclass
from typing import Literal

from avatar.base.settings import NO_OTHER_KEYS, FilePath


@dataclass
class MatteSettings:
    """The `matte` part of the configuration.

    Attributes:
        backend: `auto` takes the alpha channel of images that have one, else the plate of a
            camera where there is one, else mediapipe; `mediapipe` needs nothing; `plate` needs
            plates/cam_<id>.png of every camera; `pymatting` solves for the edges in closed form,
            seconds a frame; `torchscript` and `onnx` run a network of the user's.
        model: file of RobustVideoMatting or BackgroundMattingV2 (the latter needs plates).
        model_sha256: checksum of that file; nothing else is loaded.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    backend: Literal["auto", "mediapipe", "plate", "pymatting", "torchscript", "onnx"] = "auto"
    model: FilePath | None = None
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        given = self.model is not None, self.model_sha256 is not None
        if self.backend in ("torchscript", "onnx") and given != (True, True):
            raise ValueError(
                f"backend is {self.backend!r}: model and model_sha256 must name the network's "
                "file and its checksum (sha256sum FILE)"
            )
