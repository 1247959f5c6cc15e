"""Backends `torchscript` and `onnx`: a matting network that the user brings, by its checksum.

Two signatures are known, both with images [1,3,H,W] of 0..1 and an alpha `pha` [1,1,H,W]:

    RobustVideoMatting      src, r1 r2 r3 r4, downsample_ratio -> fgr, pha, r1 r2 r3 r4
    BackgroundMattingV2     src, bgr -> pha, fgr, ...
"""

import hashlib
import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from avatar.base.errors import UserError
from pipeline.matte.backends import Alpha, Backend, Choice, Image, Share
from pipeline.matte.refine import fit, to_uint8

Planes = Float[np.ndarray, "1 3 h w"]
Pha = Float[np.ndarray, "1 1 h w"]
STATES = 4  # recurrent states of RobustVideoMatting
SEEN = 512  # longer side at which RobustVideoMatting sees the whole image: its authors' advice
MULTIPLE = 4  # BackgroundMattingV2 takes sides that are multiples of this


class Network:
    """One clip through a network.

    Args:
        run: maps the source, the plate or None, and the states of the frame before (None at the
            clip's start) to alpha and states.
        plate: the empty scene, for networks that want one.
    """

    def __init__(
        self, run: Callable[[Planes, Planes | None, Any], tuple[Pha, Any]], plate: Image | None
    ) -> None:
        self._run = run
        self._plate = None if plate is None else _planes(plate)
        self._states: Any = None

    def __call__(self, image: Image, share: Share | None = None) -> Alpha:
        """The alpha of the next image."""
        alpha, self._states = self._run(_planes(image), self._plate, self._states)
        height, width = image.shape[:2]
        whole = np.ascontiguousarray(alpha[0, 0, :height, :width], np.float32)
        return to_uint8(whole if share is None else whole * fit(share, image))


def start(choice: Choice) -> Backend:
    """One clip's network, its recurrent state empty.

    Raises:
        UserError: the file is absent, has another checksum, is no such network, wants a plate
            that the camera lacks, or the library that runs it is not installed.
    """
    load = _load_torchscript if choice.name == "torchscript" else _load_onnx
    run, wants_plate = load(str(choice.model), choice.sha256)
    if wants_plate and choice.plate is None:
        raise UserError(
            f"{choice.model} wants the empty scene: add plates/cam_<id>.png for every camera"
        )
    return Network(run, choice.plate if wants_plate else None)


def _planes(image: Image) -> Planes:
    """The image as networks take it, its border repeated up to a multiple of four."""
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(
        image, 0, -height % MULTIPLE, 0, -width % MULTIPLE, cv2.BORDER_REPLICATE
    )
    planes = padded.transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray(planes / 255)


def _shrinkage(source: Planes) -> float:
    return min(1.0, SEEN / max(source.shape[2:]))


def _read(path: str, sha256: str) -> bytes:
    """The file's bytes; what was checked is what is loaded."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as problem:
        raise UserError(
            f"settings: matte.model {path} cannot be read ({problem.strerror}): give its path"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise UserError(
            f"{path} has the sha256 {found}, expected {sha256} (matte.model_sha256): "
            "get the file again or correct the setting"
        )
    return data


@lru_cache(maxsize=1)
def _load_torchscript(path: str, sha256: str) -> tuple[Callable[..., Any], bool]:
    """What runs one frame, and whether it wants a plate."""
    import torch

    data = _read(path, sha256)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        module = torch.jit.load(io.BytesIO(data), map_location=device).eval()
        names = [argument.name for argument in module.forward.schema.arguments][1:]
    except (RuntimeError, AttributeError) as problem:
        raise UserError(
            f"{path} is no TorchScript network ({str(problem).strip().splitlines()[0]}): "
            "give a file saved by torch.jit.save"
        ) from None
    wants_plate = _wants_plate(path, names)

    def run(source: Planes, plate: Planes | None, states: Any) -> tuple[Pha, Any]:
        with torch.inference_mode():
            image = torch.from_numpy(source).to(device)
            if plate is not None:
                outputs = module(image, torch.from_numpy(plate).to(device))
                return outputs[0].float().cpu().numpy(), None
            outputs = module(image, *(states or [None] * STATES), _shrinkage(source))
            return outputs[1].float().cpu().numpy(), outputs[2 : 2 + STATES]

    return run, wants_plate


@lru_cache(maxsize=1)
def _load_onnx(path: str, sha256: str) -> tuple[Callable[..., Any], bool]:
    """What runs one frame, and whether it wants a plate."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            "settings: matte.backend is 'onnx', but onnxruntime is not installed: "
            "pip install 'onnxruntime<1.23' into .venv, or choose another backend"
        ) from None
    data = _read(path, sha256)
    try:
        session = onnxruntime.InferenceSession(
            data, providers=onnxruntime.get_available_providers()
        )
    except Exception as problem:  # the library has a type of its own for every way to fail
        raise UserError(
            f"{path} is no ONNX network ({str(problem).strip().splitlines()[0]}): give another"
        ) from None
    names = [entry.name for entry in session.get_inputs()]
    wants_plate = _wants_plate(path, names)
    outputs = ["pha"] if wants_plate else ["pha", *(f"r{k}o" for k in range(1, STATES + 1))]

    def run(source: Planes, plate: Planes | None, states: Any) -> tuple[Pha, Any]:
        if plate is not None:
            return session.run(outputs, {"src": source, "bgr": plate})[0], None
        states = states or [np.zeros((1, 1, 1, 1), np.float32)] * STATES
        inputs = {f"r{k}i": state for k, state in enumerate(states, 1)}
        inputs |= {"src": source, "downsample_ratio": np.array([_shrinkage(source)], np.float32)}
        alpha, *states = session.run(outputs, inputs)
        return alpha, states

    return run, wants_plate


def _wants_plate(path: str, names: list[str]) -> bool:
    """Which of the two signatures a network has."""
    if names[:2] == ["src", "bgr"]:
        return True
    if names[:1] == ["src"] and {"r1", "r1i"} & set(names):
        return False
    raise UserError(
        f"{path} takes {', '.join(names)}: expected RobustVideoMatting (src, r1, …) or "
        "BackgroundMattingV2 (src, bgr)"
    )
