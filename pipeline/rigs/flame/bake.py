"""The user's FLAME file as a rig: teeth, regions, texture coordinates, a painted face."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from avatar.base.errors import UserError
from avatar.rig import HeadRig
from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK, PRINCIPAL, ROOT
from pipeline.rigs import painted_face
from pipeline.rigs.anny.head import PARTS
from pipeline.rigs.flame import anatomy, source, teeth
from pipeline.rigs.flame.unwrap import unwrap

EXPR_NAMES = [f"{PRINCIPAL}{number:03d}" for number in range(source.EXPRESSIONS)]
TEETH_UPPER, TEETH_LOWER = PARTS.index("helper-upper-teeth"), PARTS.index("helper-lower-teeth")


@dataclass(frozen=True)
class Painted:
    """A surface for `face_paint`: places in MakeHuman's frame (m)."""

    verts: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    uv: Float[np.ndarray, "U 2"]
    uv_faces: Int[np.ndarray, "F 3"]
    part: Int[np.ndarray, "V"]
    cavity: Bool[np.ndarray, "V"]


def bake(path: str | Path) -> tuple[HeadRig, UInt8[np.ndarray, "R R 3"]]:
    """The rig `flame`, without landmarks, and a face painted on its texture map.

    Its first 5023 vertices are the file's in their order; 120 vertices of teeth follow.

    Raises:
        UserError: the file is absent, damaged or not FLAME's.
    """
    flame = source.load(path)
    part = parts(flame.faces, flame.weights)
    eyes = flame.joints[[EYE_L, EYE_R]]
    skin_faces = flame.faces[part[flame.faces[:, 0]] == 0]
    added = teeth.build(flame.v_template, skin_faces, eyes)
    verts = np.concatenate([flame.v_template, added.verts(flame.v_template)])
    faces = np.concatenate([flame.faces, added.faces + source.VERTS])
    half = len(added.blend) // 2
    part = np.concatenate([part, np.repeat([TEETH_UPPER, TEETH_LOWER], half)])
    uv, uv_faces = unwrap(verts, faces, part, eyes, teeth.COLUMNS)
    anchors = anatomy.anchors(
        flame.v_template[part[: source.VERTS] == 0], eyes, flame.v_template[added.ring]
    )
    places = anatomy.to_makehuman(verts, anchors)
    masks = _masks(places, part, flame.weights)
    rig = HeadRig(
        "flame",
        _tensors(flame, added) | _as_tensors(
            v_template=verts, faces=faces, uv=uv, uv_faces=uv_faces
        ),
        EXPR_NAMES,
        {name: torch.from_numpy(mask) for name, mask in masks.items()},
        source_sha256=flame.sha256,
    )  # fmt: skip
    painted = Painted(places, faces, uv, uv_faces, part, masks["inner_mouth"])
    return rig, painted_face.texture(
        painted, 1024, painted_face.Palette(freckles=0.0, clothed=False)
    )


def parts(faces: Int[np.ndarray, "F 3"], weights: Float[np.ndarray, "V 5"]) -> Int[np.ndarray, "V"]:
    """0 for skin, 1 for the left eyeball, 2 for the right: the mesh's pieces.

    An eyeball is a piece all of which an eye's joint carries.

    Raises:
        UserError: an eye has no such piece.
    """
    count = len(weights)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    _, piece = connected_components(
        coo_matrix((np.ones(len(edges)), edges.T), (count, count)), directed=False
    )
    carried = weights[:, [EYE_L, EYE_R]] > 0.9
    size = np.bincount(piece)
    part = np.zeros(count, np.int64)
    for side in (0, 1):
        whole = np.bincount(piece, carried[:, side]) == size
        if not whole.any():
            raise UserError("FLAME's eyeballs were not found: no piece of the mesh follows an eye")
        part[whole[piece]] = side + 1
    return part


def _tensors(flame: source.Flame, added: teeth.Teeth) -> dict[str, torch.Tensor]:
    """The rig's numbers: teeth follow the identity of the lips, and one rigid joint each."""
    half = len(added.blend) // 2
    still = np.zeros((2 * half, 3, 1))
    carrier = np.repeat(np.eye(5)[[NECK, JAW]], half, axis=0)
    identity = np.einsum("tr,rcs->tcs", added.blend, flame.shapedirs[added.ring])
    return _as_tensors(
        shapedirs=np.concatenate([flame.shapedirs, identity]),
        exprdirs=np.concatenate([flame.exprdirs, still.repeat(source.EXPRESSIONS, 2)]),
        posedirs=np.concatenate([flame.posedirs, still.repeat(36, 2)]),
        joint_template=flame.joints,
        joint_shapedirs=np.einsum("jv,vcs->jcs", flame.joint_regressor, flame.shapedirs),
        joint_exprdirs=np.einsum("jv,vcs->jcs", flame.joint_regressor, flame.exprdirs),
        joint_regressor=np.pad(flame.joint_regressor, ((0, 0), (0, 2 * half))),
        parents=np.array(source.PARENTS),
        skin_weights=np.concatenate([flame.weights, carrier]),
    )


def _as_tensors(**arrays: np.ndarray) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array)
        for name, array in arrays.items()
    }


def _masks(
    places: Float[np.ndarray, "V 3"],
    part: Int[np.ndarray, "V"],
    weights: Float[np.ndarray, "N 5"],
) -> dict[str, Bool[np.ndarray, "V"]]:
    """The regions of `anny` but its tongue. The neck includes what the root joint carries."""
    skin, eyeballs = part == 0, (part == 1) | (part == 2)
    masks = {name: np.zeros(len(part), bool) for name in anatomy.REGIONS}
    for name, inside in anatomy.regions(places[skin]).items():
        masks[name][skin] = inside
    by_root = np.zeros(len(part), bool)
    by_root[: len(weights)] = weights[:, ROOT] > 0.5
    neck = skin & (masks["neck"] | by_root)
    masks = {name: mask & ~neck for name, mask in masks.items()}
    return masks | {
        "neck": neck,
        "eyes": masks["eyes"] | eyeballs,
        "skin": skin,
        "eyeballs": eyeballs,
        "teeth": part > 2,
    }
