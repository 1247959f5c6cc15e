"""Rig parameters of one subject over time, and their file (`params.npz`)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.base import npz
from avatar.base.arrays import FLAGS, INTEGERS, NUMBERS, TEXT, Spec, check
from avatar.base.errors import UserError
from avatar.rig.controls import CONTROLS
from avatar.rig.head_rig import HeadRig

POSES = (
    "expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation", "neck_shift",
    "soft_offset",
)  # fmt: skip
OPTIONAL = ("neck_shift", "soft_offset")  # zero where a file lacks it
# S shapes, V vertices, E expressions, T timesteps.
ARRAYS = {
    "shape": Spec(NUMBERS, ("S",)),
    "static_offset": Spec(NUMBERS, ("V", 3)),
    "expr": Spec(NUMBERS, ("T", "E")),
    "rotation": Spec(NUMBERS, ("T", 3)),
    "neck_pose": Spec(NUMBERS, ("T", 3)),
    "jaw_pose": Spec(NUMBERS, ("T", 3)),
    "eyes_pose": Spec(NUMBERS, ("T", 6)),
    "translation": Spec(NUMBERS, ("T", 3)),
    "neck_shift": Spec(NUMBERS, ("T", 3)),
    "soft_offset": Spec(NUMBERS, ("T", 3 * CONTROLS)),
    "sequence": Spec(TEXT, ("T",)),
    "index": Spec(INTEGERS, ("T",)),
    "time": Spec(NUMBERS, ("T",)),
    "valid": Spec(FLAGS + INTEGERS, ("T",)),
    "rig": Spec(TEXT, ()),
    "rig_sha256": Spec(TEXT, ()),
}


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
    neck_shift: Float[Tensor, "T 3"]  # of the head against the torso, in the torso's axes
    soft_offset: Float[Tensor, "T D"]  # of each control point, xyz, before posing
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
        sizes = {"S": rig.num_shape, "V": rig.num_verts, "E": rig.num_expr, "T": count}
        try:
            _check(self.arrays(), sizes)
        except ValueError as problem:
            return str(problem)
        return None

    def arrays(self) -> dict[str, np.ndarray]:
        """All of `ARRAYS`, as the file has them."""
        values = {name: getattr(self, name) for name in ARRAYS}
        return {
            name: value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
            for name, value in values.items()
        }

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
        npz.write(path, self.arrays())

    @classmethod
    def load(
        cls, path: str | Path, remedy: str = "run the stage that writes it again"
    ) -> "RigParams":
        """Read `params.npz`.

        Args:
            remedy: what the user should do where it cannot be read; ends the message.
        Raises:
            UserError: absent, damaged, or an array is missing or of another kind or shape.
        """
        try:
            return cls.from_arrays(npz.read(path, ARRAYS, remedy))
        except ValueError as problem:
            raise UserError(f"{path}: {problem}: {remedy}") from None

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "RigParams":
        """Build from the arrays that `save` writes; those of `OPTIONAL` may be absent.

        Raises:
            ValueError: one is missing, of another kind or shape than `ARRAYS` has, or not finite.
        """
        if missing := [name for name in ARRAYS if name not in {*arrays, *OPTIONAL}]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        count = len(arrays["expr"])
        absent = {
            "neck_shift": np.zeros((count, 3)),
            "soft_offset": np.zeros((count, 3 * CONTROLS)),
        }
        arrays = absent | arrays
        _check(arrays, {})
        values: dict[str, Any] = dict(arrays)
        for name in ("shape", "static_offset", *POSES):
            values[name] = torch.from_numpy(arrays[name].astype(np.float32))
        for name in ("rig", "rig_sha256"):
            values[name] = str(arrays[name].astype(str))
        values["sequence"] = arrays["sequence"].astype(str)
        values["time"] = arrays["time"].astype(np.float64)
        values["valid"] = arrays["valid"].astype(bool)
        return cls(**{name: values[name] for name in ARRAYS})


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


def _check(arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
    for name, spec in ARRAYS.items():
        check(name, arrays[name], spec, sizes)
    if sizes["T"] == 0:
        raise ValueError("it has no timestep")
