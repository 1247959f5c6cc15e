"""A FLAME-shaped head rig: linear identity and expression, joints, linear blend skinning."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.base import npz
from avatar.base.arrays import TEXT
from avatar.rig import rig_file
from avatar.rig.controls import CONTROLS, control_weights
from avatar.rig.landmarks import Landmarks
from avatar.rig.rotations import axis_angle_to_matrix

ROOT, NECK, JAW, EYE_L, EYE_R = range(5)
PRINCIPAL = "principal"  # how the names of expressions begin that are directions of variance


class HeadRig(torch.nn.Module):
    """Vertices from identity, expression and pose.

    `verts = LBS(v_template + shapedirs shape + exprdirs expr + posedirs (R - I) + static_offset)`
    about joints that are linear in `shape`, as FLAME (Li et al. 2017, eq. 2-5) defines it; in
    practice FLAME's joints are regressed from the face with its expression, `joint_exprdirs`. The
    joints are root, neck, jaw, left eye, right eye; `rotation` turns the root, `translation` is
    added last. Static offsets and the deformation by control points, which are added before posing,
    move the surface and leave the joints where they are.

    World frame of the unposed rig: metres, y up, z from the face towards the viewer, x to the
    subject's left. `.to(device)` moves all tensors, in place as modules do.

    Attributes:
        v_template [V,3] m, shapedirs [V,3,S] (unit variance), exprdirs [V,3,E],
        posedirs [V,3,36] or None, joint_template [5,3], joint_shapedirs [5,3,S],
        joint_exprdirs [5,3,E] or None, parents [5], joint_regressor [5,V] or None (joints as shares
        of vertices, which other programs also apply to static offsets),
        skin_weights [V,5] (rows sum to one), faces [F,3], uv [U,2], uv_faces [F,3],
        control_weights [V,C] (share of each control point in a vertex's motion),
        landmarks: `Landmarks` or None before an embedding is baked,
        expr_names: E names, masks: name -> bool [V] (`face`, `eyes`, `mouth`, `neck`, `scalp`).
    """

    v_template: Float[Tensor, "V 3"]
    shapedirs: Float[Tensor, "V 3 S"]
    exprdirs: Float[Tensor, "V 3 E"]
    posedirs: Float[Tensor, "V 3 36"] | None
    joint_template: Float[Tensor, "5 3"]
    joint_shapedirs: Float[Tensor, "5 3 S"]
    joint_exprdirs: Float[Tensor, "5 3 E"] | None
    joint_regressor: Float[Tensor, "5 V"] | None
    parents: Int[Tensor, "5"]
    skin_weights: Float[Tensor, "V 5"]
    faces: Int[Tensor, "F 3"]
    uv: Float[Tensor, "U 2"]
    uv_faces: Int[Tensor, "F 3"]
    control_weights: Float[Tensor, "V C"]

    def __init__(
        self,
        name: str,
        tensors: dict[str, Tensor],
        expr_names: list[str],
        masks: dict[str, Tensor],
        landmarks: Landmarks | None = None,
        source_sha256: str = "",
    ) -> None:
        """Check shapes and keep the tensors.

        Args:
            name: `anny`, `flame`, ...
            tensors: the attributes above by name; those of `rig_file.OPTIONAL` may be absent.
            source_sha256: of the file the rig was made from, where it was made from one.
        Raises:
            ValueError: a tensor is missing, or its shape does not fit `v_template`.
        """
        super().__init__()
        self.name, self.source_sha256 = name, source_sha256
        self.expr_names = list(expr_names)
        self.masks = dict(masks)
        self.landmarks = landmarks
        for key in (*rig_file.TENSORS, *rig_file.OPTIONAL):
            self.register_buffer(key, tensors.get(key))
        self._check()
        weights = torch.from_numpy(control_weights(self.v_template.cpu().numpy()))
        self.register_buffer("control_weights", weights.to(self.v_template.dtype))
        self._parents = self.parents.tolist()  # asked for at every pose: not from a device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move masks and landmarks along with the buffers."""
        super()._apply(fn, recurse)
        self.masks = {key: fn(mask) for key, mask in self.masks.items()}
        if self.landmarks is not None:
            self.landmarks = Landmarks(**{k: fn(v) for k, v in vars(self.landmarks).items()})
        return self

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that the rig has, by name: what `__init__` takes."""
        names = (*rig_file.TENSORS, *rig_file.OPTIONAL)
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _check(self) -> None:
        tensors = self.tensors()
        if missing := [name for name in rig_file.TENSORS if name not in tensors]:
            raise ValueError(f"rig {self.name}: missing {', '.join(missing)}")
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        try:
            rig_file.check_tensors(arrays, self.expr_names)
        except ValueError as problem:
            raise ValueError(f"rig {self.name}: {problem}") from None

    @property
    def num_verts(self) -> int:
        return self.v_template.shape[0]

    @property
    def num_shape(self) -> int:
        return self.shapedirs.shape[2]

    @property
    def num_expr(self) -> int:
        return self.exprdirs.shape[2]

    @property
    def principal_expr(self) -> bool:
        """Whether expressions are directions of unit variance, as FLAME's, not actions of 0..1."""
        return all(name.startswith(PRINCIPAL) for name in self.expr_names)

    @cached_property
    def head_radius(self) -> float:
        """Radius (m) of the head without the neck: the scene's extent for training."""
        head = self.v_template[~self.masks["neck"]]
        return float((head - head.mean(0)).norm(dim=1).max())

    def deformation(self, soft_offset: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V 3"]:
        """How far the control points carry every vertex before posing, metres."""
        planes = soft_offset.unflatten(-1, (CONTROLS, 3)).mT.contiguous()  # one product for all
        return (planes @ self.control_weights.T).mT

    def joints(
        self, shape: Float[Tensor, "*#B S"], expr: Float[Tensor, "*#B E"] | None = None
    ) -> Float[Tensor, "... 5 3"]:
        """Rest positions (m) of the joints of an identity and, where it matters, expression."""
        joints = self.joint_template + torch.einsum("jcs,...s->...jc", self.joint_shapedirs, shape)
        if expr is not None and self.joint_exprdirs is not None:
            joints = joints + torch.einsum("jce,...e->...jc", self.joint_exprdirs, expr)
        return joints

    def rest(
        self,
        shape: Float[Tensor, "*#B S"],
        expr: Float[Tensor, "*#B E"],
        static_offset: Float[Tensor, "*#B V 3"] | float = 0.0,
    ) -> Float[Tensor, "*B V 3"]:
        """Unposed vertices (m) of an identity and expression."""
        # A single matrix product over the flattened basis is what keeps this at memory speed.
        identity = shape @ self.shapedirs.flatten(0, 1).T
        motion = expr @ self.exprdirs.flatten(0, 1).T
        moved = self.v_template + (identity + motion).unflatten(-1, (-1, 3))
        return moved + static_offset

    def forward(
        self,
        shape: Float[Tensor, "*#B S"],
        expr: Float[Tensor, "*#B E"],
        rotation: Float[Tensor, "*B 3"],
        neck_pose: Float[Tensor, "*B 3"],
        jaw_pose: Float[Tensor, "*B 3"],
        eyes_pose: Float[Tensor, "*B 6"],
        translation: Float[Tensor, "*#B 3"],
        static_offset: Float[Tensor, "*#B V 3"] | float = 0.0,
        neck_shift: Float[Tensor, "*#B 3"] | float = 0.0,
        soft_offset: Float[Tensor, "*#B D"] | None = None,
    ) -> Float[Tensor, "*B V 3"]:
        """Posed vertices.

        Leading dimensions broadcast: one `shape [S]` serves a batch of timesteps. Poses are
        axis-angle (rad), `eyes_pose` left then right; `translation` and `static_offset` metres.
        `neck_shift` (m, axes of the torso) moves the neck joint, and the head with it, against
        the torso: FLAME has no such freedom, a real neck has. `soft_offset` (m, D = 3 C, xyz of
        each point) is that of the control points, none if None.

        Returns:
            Vertices in the world frame, metres.
        """
        pose = torch.stack(
            [rotation, neck_pose, jaw_pose, eyes_pose[..., :3], eyes_pose[..., 3:]], -2
        )
        local = axis_angle_to_matrix(pose)
        verts = self.rest(shape, expr, static_offset)
        if self.posedirs is not None:
            eye = torch.eye(3, dtype=local.dtype, device=local.device)
            feature = (local[..., 1:, :, :] - eye).flatten(-3)
            verts = verts + (feature @ self.posedirs.flatten(0, 1).T).unflatten(-1, (-1, 3))
        planes = verts.mT  # [*B, 3, V]: long rows, and products of few large matrices
        if soft_offset is not None:
            planes = planes + self.deformation(soft_offset).mT
        turns, shifts = self.joint_transforms(local, self.joints(shape, expr), neck_shift)
        turn, shift = self._skinned(turns.flatten(-2)), self._skinned(shifts)
        posed = (turn.unflatten(-2, (3, 3)) * planes[..., None, :, :]).sum(-2) + shift
        return (posed + translation[..., None]).mT

    def _skinned(self, values: Float[Tensor, "*B 5 D"]) -> Float[Tensor, "*B D V"]:
        """What the joints have, weighted for every vertex."""
        return values.mT.contiguous() @ self.skin_weights.T

    def joint_transforms(
        self,
        local: Float[Tensor, "*B 5 3 3"],
        joints: Float[Tensor, "*#B 5 3"],
        neck_shift: Float[Tensor, "*#B 3"] | float = 0.0,
    ) -> tuple[Float[Tensor, "*B 5 3 3"], Float[Tensor, "*B 5 3"]]:
        """Rotation and shift of every joint such that `R x + t` carries a rest point along.

        Args:
            local: each joint's rotation about its own rest position, in its parent's frame.
            joints: rest positions (m).
            neck_shift: of the neck joint in its parent's frame (m).
        """
        joints = joints.expand(*local.shape[:-2], 3)
        turns: list[Tensor] = []
        shifts: list[Tensor] = []
        for joint, parent in enumerate(self._parents):
            origin = joints[..., joint, :]
            turn = local[..., joint, :, :]
            shift = origin - (turn @ origin[..., None]).squeeze(-1)
            if joint == NECK:
                shift = shift + neck_shift
            if parent >= 0:
                shift = (turns[parent] @ shift[..., None]).squeeze(-1) + shifts[parent]
                turn = turns[parent] @ turn
            turns.append(turn)
            shifts.append(shift)
        return torch.stack(turns, -3), torch.stack(shifts, -2)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every tensor of the rig under its name in the file: masks and landmarks too."""
        tensors = self.tensors() | {f"mask_{name}": mask for name, mask in self.masks.items()}
        if self.landmarks is not None:
            tensors |= {f"landmark_{name}": value for name, value in vars(self.landmarks).items()}
        return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that the rig is: parameters of one are never read with another."""
        return rig_file.digest(self.name, self.expr_names, self.arrays())

    def save(self, path: str | Path) -> None:
        """Write the rig's file (`results/rigs/<rig>.npz`), atomically, without pickles."""
        about = {
            "name": np.array(self.name),
            "source_sha256": np.array(self.source_sha256),
            "expr_names": np.array(self.expr_names),
        }
        npz.write(path, self.arrays() | about)

    @classmethod
    def load(cls, path: str | Path) -> "HeadRig":
        """Read a rig's file.

        Raises:
            UserError: the file is absent, or is not a rig's.
        """
        arrays = rig_file.read(path)
        tensors = {
            name: torch.from_numpy(array)
            for name, array in arrays.items()
            if array.dtype.kind not in TEXT
        }
        landmarks = Landmarks(**_prefixed(tensors, "landmark_"))
        expr_names = [str(name) for name in arrays["expr_names"]]
        source = str(arrays["source_sha256"])
        masks = _prefixed(tensors, "mask_")
        return cls(str(arrays["name"]), tensors, expr_names, masks, landmarks, source)


def _prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
