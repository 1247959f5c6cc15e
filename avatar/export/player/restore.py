"""The avatar that a player's data holds: to measure what quantisation lost, and in tests."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.export.player.block import unpack
from avatar.export.player.contents import BY_COMPONENT
from avatar.gaussians.avatar_file import Avatar
from avatar.gaussians.basis import ExpressionSpace
from avatar.gaussians.model import RiggedGaussians
from avatar.rig import HeadRig, RigParams
from avatar.rig.params import POSES

_SPACE = "space_"


def restore(block: bytes) -> tuple[Avatar, HeadRig]:
    """The avatar of `contents.player_block`, on a rig that is its subject's, with no shapes."""
    header, arrays = unpack(block)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    rig = _rig(header["rig"], header["expressions"], header["parents"], tensors)
    space = {k.removeprefix(_SPACE): v for k, v in tensors.items() if k.startswith(_SPACE)}
    params = _params(tensors, rig)
    gaussians = _gaussians(tensors)
    return Avatar(gaussians, params, {}, ExpressionSpace(**space) if space else None), rig


def _directions(rows: Float[Tensor, "E V3"]) -> Float[Tensor, "V 3 E"]:
    return rows.T.unflatten(0, (-1, 3)).contiguous()


def _rig(name: str, names: list[str], parents: list[int], tensors: dict[str, Tensor]) -> HeadRig:
    faces = tensors["faces"].long()
    mine = {
        "v_template": tensors["rest"],
        "shapedirs": torch.zeros(*tensors["rest"].shape, 1),
        "joint_template": tensors["joints"],
        "joint_shapedirs": torch.zeros(5, 3, 1),
        "parents": torch.tensor(parents),
        "skin_weights": tensors["skin_weights"].T.contiguous(),
        "faces": faces,
        "uv": torch.zeros(1, 2),
        "uv_faces": torch.zeros_like(faces),
    }
    for directions in ("exprdirs", "posedirs", "joint_exprdirs"):
        if directions in tensors:
            mine[directions] = _directions(tensors[directions])
    rig = HeadRig(name, mine, names, {})
    rig.control_weights = tensors["control_weights"].T.contiguous()  # of the rig's template
    return rig


def _gaussians(tensors: dict[str, Tensor]) -> RiggedGaussians:
    n = len(tensors["binding"])

    def items(name: str, *shape: int) -> Tensor:
        rows = tensors.get(name, torch.zeros(0, n))
        return rows.T.reshape(n, *shape).contiguous() if len(rows) else torch.zeros(n, 3, 0)

    return RiggedGaussians(
        means_local=items("means", 3),
        log_scales=items("log_scales", 3),
        quats_local=items("quats", 4),
        opacity_logits=tensors["opacities"][0].logit(eps=1e-6),
        sh_dc=items("sh_dc", 1, 3),
        sh_rest=items("sh_rest", -1, 3) if "sh_rest" in tensors else torch.zeros(n, 0, 3),
        basis_means=items("basis_means", 3, -1),
        basis_colors=items("basis_colors", 3, -1),
        binding=tensors["binding"].long(),
    )


def _params(tensors: dict[str, Tensor], rig: HeadRig) -> RigParams:
    poses = {name: tensors[f"motion_{name}"] for name in POSES}
    poses |= {name: poses[name].T.contiguous() for name in BY_COMPONENT}
    count = len(poses["expr"])
    return RigParams(
        shape=torch.zeros(1),
        static_offset=torch.zeros(rig.num_verts, 3),
        **poses,
        sequence=np.full(count, "main"),
        index=np.arange(count),
        time=np.arange(count, dtype=np.float64),
        valid=np.ones(count, bool),
        rig=rig.name,
        rig_sha256="",
    )
