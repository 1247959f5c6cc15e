"""A FLAME-shaped head rig: linear identity and expression, joints, linear blend skinning."""

import dataclasses
import hashlib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.base import files
from avatar.base.errors import UserError
from avatar.rig.rotations import axis_angle_to_matrix

ROOT, NECK, JAW, EYE_L, EYE_R = range(5)
PRINCIPAL = "principal"  # how the names of expressions begin that are directions of variance


@dataclass(frozen=True)
class Landmarks:
    """Where a detector's landmarks lie on the surface, and where it puts them instead.

    Attributes:
        ids [L]: MediaPipe face-mesh indices (0..477).
        faces [L], barycentric [L,3]: the surface point.
        spread [L]: m; deviation of the detections that were averaged: the weight of a landmark
            in a fit is its inverse square.
        response [L,3,1+S+E+9]: m in the head's frame; what the detector adds to the point, a
            constant and per unit of shape, expression and the jaw's rotation matrix (less the
            identity, row by row).
    """

    ids: Int[Tensor, "L"]
    faces: Int[Tensor, "L"]
    barycentric: Float[Tensor, "L 3"]
    spread: Float[Tensor, "L"]
    response: Float[Tensor, "L 3 K"]

    def points(
        self, verts: Float[Tensor, "*B V 3"], faces: Int[Tensor, "F 3"]
    ) -> Float[Tensor, "*B L 3"]:
        """The landmarks' positions on a posed mesh, in its frame and unit."""
        corners = verts[..., faces[self.faces], :]
        return (corners * self.barycentric[:, :, None]).sum(-2)


class HeadRig(torch.nn.Module):
    """Vertices from identity, expression and pose.

    `verts = LBS(v_template + shapedirs shape + exprdirs expr + posedirs (R - I) + static_offset)`
    about joints that are linear in `shape`, as FLAME (Li et al. 2017, eq. 2-5) defines it; in
    practice FLAME's joints are regressed from the face with its expression, `joint_exprdirs`. The
    joints are root, neck, jaw, left eye, right eye; `rotation` turns the root, `translation` is
    added last. Static offsets move the surface and leave the joints where they are.

    World frame of the unposed rig: metres, y up, z from the face towards the viewer, x to the
    subject's left. `.to(device)` moves all tensors, in place as modules do.

    Attributes:
        v_template [V,3] m, shapedirs [V,3,S] (unit variance), exprdirs [V,3,E],
        posedirs [V,3,36] or None, joint_template [5,3], joint_shapedirs [5,3,S],
        joint_exprdirs [5,3,E] or None, parents [5], joint_regressor [5,V] or None (joints as shares
        of vertices, which other programs also apply to static offsets),
        skin_weights [V,5] (rows sum to one), faces [F,3], uv [U,2], uv_faces [F,3],
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

    _TENSORS = (
        "v_template", "shapedirs", "exprdirs", "joint_template", "joint_shapedirs", "parents",
        "skin_weights", "faces", "uv", "uv_faces",
    )  # fmt: skip
    _OPTIONAL = ("posedirs", "joint_exprdirs", "joint_regressor")

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
            tensors: the attributes above by name; those of `_OPTIONAL` may be absent.
            source_sha256: of the file the rig was made from, where it was made from one.
        Raises:
            ValueError: a tensor is missing, or its shape does not fit `v_template`.
        """
        super().__init__()
        self.name, self.source_sha256 = name, source_sha256
        self.expr_names = list(expr_names)
        self.masks = dict(masks)
        self.landmarks = landmarks
        for key in (*self._TENSORS, *self._OPTIONAL):
            self.register_buffer(key, tensors.get(key))
        self._check()
        self._parents = self.parents.tolist()  # asked for at every pose: not from a device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move masks and landmarks along with the buffers."""
        super()._apply(fn, recurse)
        self.masks = {key: fn(mask) for key, mask in self.masks.items()}
        if self.landmarks is not None:
            self.landmarks = Landmarks(**{k: fn(v) for k, v in vars(self.landmarks).items()})
        return self

    def _check(self) -> None:
        missing = [key for key in self._TENSORS if getattr(self, key) is None]
        if missing:
            raise ValueError(f"rig {self.name}: missing {', '.join(missing)}")
        verts, shapes, exprs = self.num_verts, self.num_shape, self.num_expr
        expected = {
            "v_template": (verts, 3), "shapedirs": (verts, 3, shapes),
            "exprdirs": (verts, 3, exprs), "joint_template": (5, 3),
            "joint_shapedirs": (5, 3, shapes), "parents": (5,), "skin_weights": (verts, 5),
        }  # fmt: skip
        if self.posedirs is not None:
            expected["posedirs"] = (verts, 3, 36)
        if self.joint_exprdirs is not None:
            expected["joint_exprdirs"] = (5, 3, exprs)
        if self.joint_regressor is not None:
            expected["joint_regressor"] = (5, verts)
        for key, shape in expected.items():
            if tuple(getattr(self, key).shape) != shape:
                got = tuple(getattr(self, key).shape)
                raise ValueError(f"rig {self.name}: {key} has shape {got}, expected {shape}")
        if int(self.faces.max()) >= verts or int(self.faces.min()) < 0:
            raise ValueError(f"rig {self.name}: faces name vertices outside 0..{verts - 1}")
        if len(self.expr_names) != exprs:
            raise ValueError(f"rig {self.name}: {len(self.expr_names)} names for {exprs} expr")

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
    ) -> Float[Tensor, "*B V 3"]:
        """Posed vertices.

        Leading dimensions broadcast: one `shape [S]` serves a batch of timesteps. Poses are
        axis-angle (rad), `eyes_pose` left then right; `translation` and `static_offset` metres.

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
            verts = verts + torch.einsum("vcp,...p->...vc", self.posedirs, feature)
        turns, shifts = self.joint_transforms(local, self.joints(shape, expr))
        weighted_turn = torch.einsum("vj,...jab->...vab", self.skin_weights, turns)
        weighted_shift = torch.einsum("vj,...ja->...va", self.skin_weights, shifts)
        posed = (weighted_turn @ verts[..., None]).squeeze(-1) + weighted_shift
        return posed + translation[..., None, :]

    def joint_transforms(
        self, local: Float[Tensor, "*B 5 3 3"], joints: Float[Tensor, "*#B 5 3"]
    ) -> tuple[Float[Tensor, "*B 5 3 3"], Float[Tensor, "*B 5 3"]]:
        """Rotation and shift of every joint such that `R x + t` carries a rest point along.

        Args:
            local: each joint's rotation about its own rest position, in its parent's frame.
            joints: rest positions (m).
        """
        joints = joints.expand(*local.shape[:-2], 3)
        turns: list[Tensor] = []
        shifts: list[Tensor] = []
        for joint, parent in enumerate(self._parents):
            origin = joints[..., joint, :]
            turn = local[..., joint, :, :]
            shift = origin - (turn @ origin[..., None]).squeeze(-1)
            if parent >= 0:
                shift = (turns[parent] @ shift[..., None]).squeeze(-1) + shifts[parent]
                turn = turns[parent] @ turn
            turns.append(turn)
            shifts.append(shift)
        return torch.stack(turns, -3), torch.stack(shifts, -2)

    @cached_property
    def sha256(self) -> str:
        """Hash of name and tensors: parameters of one rig are never read with another."""
        digest = hashlib.sha256(self.name.encode())
        for key in self._TENSORS:
            digest.update(key.encode() + getattr(self, key).cpu().numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the rig's file (`results/rigs/<rig>.npz`), atomically, without pickles."""
        arrays = {key: getattr(self, key).cpu().numpy() for key in self._TENSORS}
        for key in self._OPTIONAL:
            if (tensor := getattr(self, key)) is not None:
                arrays[key] = tensor.cpu().numpy()
        arrays |= {f"mask_{key}": mask.cpu().numpy() for key, mask in self.masks.items()}
        arrays["name"] = np.array(self.name)
        arrays["source_sha256"] = np.array(self.source_sha256)
        arrays["expr_names"] = np.array(self.expr_names)
        if self.landmarks is not None:
            arrays |= {f"landmark_{k}": v.cpu().numpy() for k, v in vars(self.landmarks).items()}
        with files.atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "HeadRig":
        """Read a rig's file.

        Raises:
            UserError: the file is absent or is not a rig's.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: bake it with 'snakemake {path}'") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
            raise UserError(f"{path} is not a rig's npz file ({problem}): bake it again") from None
        tensors = {
            key: torch.from_numpy(arrays[key])
            for key in (*cls._TENSORS, *cls._OPTIONAL)
            if key in arrays
        }
        masks = {
            key.removeprefix("mask_"): torch.from_numpy(value)
            for key, value in arrays.items()
            if key.startswith("mask_")
        }
        landmarks = None
        if "landmark_ids" in arrays:
            names = [field.name for field in dataclasses.fields(Landmarks)]
            if missing := [name for name in names if f"landmark_{name}" not in arrays]:
                raise UserError(f"{path} lacks landmark_{missing[0]}: bake it again")
            landmarks = Landmarks(*(torch.from_numpy(arrays[f"landmark_{n}"]) for n in names))
        return cls(
            str(arrays["name"]), tensors, [str(name) for name in arrays["expr_names"]], masks,
            landmarks, str(arrays.get("source_sha256", "")),
        )  # fmt: skip
