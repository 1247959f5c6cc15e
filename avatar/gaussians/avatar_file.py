"""A trained avatar and its files: `avatar.safetensors`, `rig_params.npz` and those beside them.

`avatar.safetensors` holds the Gaussians and, as JSON in its metadata, what they were trained from.
The metadata carry a sha256 of the tensors, of every other file of the avatar, and of themselves:
files that were damaged, or that belong to different avatars, are refused and never rendered.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatar.base import files
from avatar.base.errors import UserError
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.model import RiggedGaussians
from avatar.gaussians.validate import find_problem
from avatar.render import WorldGaussians
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import check_rig

SCHEMA_VERSION = 3
GAUSSIANS, PARAMS = "avatar.safetensors", "rig_params.npz"
_SPACE = "expression_space."
_AGAIN = "train the subject again"


@dataclass(frozen=True)
class Avatar:
    """What training left behind.

    Attributes:
        gaussians: raw parameters in their triangles' frames; on the device that renders.
        params: rig parameters, tuned on the training timesteps and as they were given elsewhere.
        about: settings, dataset and code of the training run; plain JSON.
        space: what drives the Gaussians' basis, if they have one.
    """

    gaussians: RiggedGaussians
    params: RigParams
    about: dict[str, Any]
    space: ExpressionSpace | None = None

    @property
    def torso(self) -> bool:
        """Whether it was trained with its torso; older avatars were."""
        return bool(self.about.get("torso", True))

    def pose(self, rig: HeadRig, timestep: int) -> tuple[Float[Tensor, "V 3"], WorldGaussians]:
        """The mesh at a timestep (m), and the Gaussians it carries, on their device."""
        verts, weights = self._posed(rig, torch.tensor([timestep]))
        weights = None if weights is None else weights[0]
        return verts[0], self._activated(rig, verts[0], weights)

    def pose_batch(
        self, rig: HeadRig, timesteps: Int[Tensor, "B"]
    ) -> tuple[Float[Tensor, "B V 3"], WorldGaussians]:
        """The meshes of several timesteps (m), and the Gaussians that each carries."""
        verts, weights = self._posed(rig, timesteps)
        return verts, self._activated(rig, verts, weights)

    def _posed(
        self, rig: HeadRig, timesteps: Int[Tensor, "B"]
    ) -> tuple[Float[Tensor, "B V 3"], Float[Tensor, "B K"] | None]:
        """Meshes, and weights of the Gaussians' basis."""
        poses = self.params.poses(timesteps)
        if self.space is None:
            return rig(**poses), None
        return rig(**poses), self.space.weights(poses["expr"], poses["jaw_pose"])

    def _activated(
        self, rig: HeadRig, verts: Float[Tensor, "*B V 3"], weights: Float[Tensor, "*B K"] | None
    ) -> WorldGaussians:
        device = self.gaussians.binding.device
        weights = None if weights is None else weights.to(device)
        return self.gaussians.activate(verts.to(device), rig.faces.to(device), None, weights)


def save_avatar(folder: Path, avatar: Avatar) -> None:
    """Write `rig_params.npz`, then `avatar.safetensors` with the checksum of every other file.

    Args:
        folder: may already hold exported files: they become part of the avatar.
    """
    avatar.params.save(folder / PARAMS)
    tensors = avatar.gaussians.to("cpu").tensors()
    if avatar.space is not None:
        tensors |= {_SPACE + name: value.cpu() for name, value in vars(avatar.space).items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    about = avatar.about | {
        "schema_version": SCHEMA_VERSION,
        "tensors_sha256": _tensors_sha256(tensors),
        "files_sha256": {
            path.name: files.sha256(path)
            for path in sorted(folder.iterdir())
            if path.name != GAUSSIANS
        },
    }
    text = json.dumps(about, sort_keys=True)
    with files.atomic(folder / GAUSSIANS) as temporary:
        save_file(tensors, temporary, {"headsplat": text, "sha256": _text_sha256(text)})


def load_avatar(folder: Path, rig: HeadRig, device: torch.device | str = "cpu") -> Avatar:
    """Read `results/<subject>/avatar/`; what it returns can be rendered with the rig.

    Args:
        device: where the Gaussians are rendered; all else stays on the CPU.
    Raises:
        UserError: a file is absent, damaged, of another avatar or of another rig.
    """
    path = folder / GAUSSIANS
    about, tensors = _read(path)
    _check_files(folder, about["files_sha256"], [PARAMS])
    params = RigParams.load(folder / PARAMS)
    check_rig(params, rig, str(folder / PARAMS))
    if (wrong := params.misfit(rig, len(params))) is not None:
        raise UserError(f"{folder / PARAMS}: {wrong}: {_AGAIN}")
    driving = [name for name in tensors if name.startswith(_SPACE)]
    driven = {name.removeprefix(_SPACE): tensors.pop(name) for name in driving}
    if (wrong := find_problem(tensors, driven, rig)) is not None:
        raise UserError(f"{path}: {wrong}: {_AGAIN}")
    space = ExpressionSpace(**driven) if driven else None
    return Avatar(RiggedGaussians(**tensors).to(device), params, about, space)


def read_about(folder: Path) -> dict[str, Any] | None:
    """Metadata of a complete avatar whose files are all present and whole; else None."""
    try:
        about, _ = _read(folder / GAUSSIANS)
        _check_files(folder, about["files_sha256"], list(about["files_sha256"]))
    except UserError:
        return None
    return about


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors, compared with their checksums."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: train the subject first")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            about = json.loads(metadata["headsplat"])
            version = about["schema_version"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = {"tensors_sha256": "", "files_sha256": {}} | about
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        raise UserError(f"{path} is damaged or not an avatar of headsplat: {_AGAIN}") from None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema_version is {version!r}, expected {SCHEMA_VERSION}: "
            "train again with this version of headsplat"
        )
    if metadata.get("sha256") != _text_sha256(metadata["headsplat"]):
        raise UserError(f"{path} is damaged (checksum of its metadata): {_AGAIN}")
    if about["tensors_sha256"] != _tensors_sha256(tensors):
        raise UserError(f"{path} is damaged (checksum of its tensors): {_AGAIN}")
    return about, tensors


def _check_files(folder: Path, expected: dict[str, str], required: list[str]) -> None:
    """Compare the files that belong to the avatar with their checksums, where they are present."""
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            if name in required:
                raise UserError(f"{path} does not exist: {_AGAIN}")
        elif files.sha256(path) != digest:
            raise UserError(
                f"{path} does not belong to {folder / GAUSSIANS} (sha256 differs): it was changed, "
                f"damaged or copied from another avatar: {_AGAIN}"
            )


def _tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Hash of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
