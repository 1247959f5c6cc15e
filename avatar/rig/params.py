"""Rig parameters of one subject over time, and their file (`params.npz`)."""

import zipfile
import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.base import files
from avatar.base.errors import UserError
from avatar.rig.head_rig import HeadRig

POSES = ("expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation")


@dataclass
class RigParams:
    """What moves a `HeadRig`: identity once, pose and expression per timestep.

    T runs over the sequences in lexicographic order: one global timestep number.
    Rotations are axis-angle (radians), lengths metres.
    """

    shape: Float[Tensor, "S"]
    static_offset: Float[Tensor, "V 3"]
    expr: Float[Tensor, "T E"]
    rotation: Float[Tensor, "T 3"]
    neck_pose: Float[Tensor, "T 3"]
    jaw_pose: Float[Tensor, "T 3"]
    eyes_pose: Float[Tensor, "T 6"]
    translation: Float[Tensor, "T 3"]
    sequence: np.ndarray  # [T] str
    index: Int[np.ndarray, "T"]  # place of the timestep in its sequence
    time: Float[np.ndarray, "T"]  # seconds from the sequence's start
    valid: Bool[np.ndarray, "T"]  # False where no face was found and values are bridged
    rig: str
    rig_sha256: str

    def __len__(self) -> int:
        return self.expr.shape[0]

    def poses(self, timesteps: Int[Tensor, "B"]) -> dict[str, Float[Tensor, "..."]]:
        """The keyword arguments of `HeadRig.forward` at the given timesteps."""
        identity = {"shape": self.shape, "static_offset": self.static_offset}
        return identity | {name: getattr(self, name)[timesteps] for name in POSES}

    def misfit(self, rig: HeadRig, count: int) -> str | None:
        """The first array that is not finite or not of the shape a rig and T ask for, in words."""
        expected = {
            "shape": (rig.num_shape,), "static_offset": (rig.num_verts, 3),
            "expr": (count, rig.num_expr), "rotation": (count, 3), "neck_pose": (count, 3),
            "jaw_pose": (count, 3), "eyes_pose": (count, 6), "translation": (count, 3),
            "sequence": (count,), "index": (count,), "time": (count,), "valid": (count,),
        }  # fmt: skip
        for name, shape in expected.items():
            array = np.asarray(getattr(self, name))
            if array.shape != shape:
                return f"{name} has shape {array.shape}, expected {shape}"
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"{name} holds NaN or infinity"
        return None

    def to(self, device: torch.device | str) -> "RigParams":
        """The same parameters with their tensors on a device."""
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def save(self, path: str | Path) -> None:
        """Write `params.npz`, atomically, without pickles."""
        arrays = {field.name: _array(getattr(self, field.name)) for field in fields(self)}
        with files.atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "RigParams":
        """Read `params.npz`.

        Raises:
            UserError: absent, damaged, or an array is missing or is not plain numbers or text.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: run the stage that writes it") from None
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as wrong:
            raise UserError(f"{path} is damaged ({wrong}): make it again") from None
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise UserError(f"{path} lacks {', '.join(missing)}: track the subject again")
        try:
            return cls.from_arrays({field.name: arrays[field.name] for field in fields(cls)})
        except (TypeError, ValueError) as wrong:
            raise UserError(
                f"{path} holds other things than numbers ({wrong}): make it again"
            ) from None

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "RigParams":
        """Build from the arrays that `save` writes."""
        values: dict = dict(arrays)
        for name in ("shape", "static_offset", *POSES):
            values[name] = torch.from_numpy(np.asarray(values[name], np.float32))
        for name in ("rig", "rig_sha256"):
            values[name] = str(values[name])
        values["sequence"] = np.asarray(values["sequence"]).astype(str)
        return cls(**{field.name: values[field.name] for field in fields(cls)})


def check_rig(params: RigParams, rig: HeadRig, where: str) -> None:
    """Refuse parameters of another rig: the same numbers would mean another face.

    Raises:
        UserError: name and hashes of both.
    """
    if params.rig_sha256 != rig.sha256:
        raise UserError(
            f"{where} was made with rig {params.rig} ({params.rig_sha256[:12]}), given is "
            f"{rig.name} ({rig.sha256[:12]}): give that rig, or track the subject again"
        )


def _array(value: object) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
