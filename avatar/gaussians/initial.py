"""Before the first step: what is trained on, the scene's size, and the first Gaussians."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.gaussians.binding import face_frames
from avatar.gaussians.model import RiggedGaussians, color_to_sh
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig, RigParams
from avatar.train.presets import Preset


def face_colors(
    dataset: Dataset, rig: HeadRig, rows: Int[np.ndarray, "R"]
) -> Float[np.ndarray, "F 3"]:
    """Mean colour of the pixels where each face is the nearest.

    Pixels count by their alpha. A face that no frame shows gets the mean of all.

    Args:
        rows: frames to look at.
    Returns:
        RGB 0..1, float32.
    """
    faces = rig.faces.numpy()
    total = np.zeros((len(faces), 4))
    for row in rows:
        with torch.no_grad():
            verts = rig(**dataset.params.poses(torch.tensor([int(dataset.timestep[row])])))[0]
        camera = int(dataset.camera[row])
        image, alpha = dataset.image(int(row)), dataset.alpha(int(row))
        ids, _, _ = rasterize_mesh(
            verts.numpy(), faces, dataset.cameras.viewmats[camera], dataset.cameras.Ks[camera],
            image.shape[1], image.shape[0],
        )  # fmt: skip
        seen = ids >= 0
        weight = alpha[seen] / 255.0
        for channel in range(3):
            values = weight * image[seen][:, channel] / 255.0
            total[:, channel] += np.bincount(ids[seen], values, len(faces))
        total[:, 3] += np.bincount(ids[seen], weight, len(faces))
    known = total[:, 3] > 0
    overall = total[:, :3].sum(0) / max(total[:, 3].sum(), 1e-9)
    colors = np.where(known[:, None], total[:, :3] / np.maximum(total[:, 3:], 1e-9), overall)
    return colors.astype(np.float32)


def training_rows(dataset: Dataset) -> Int[np.ndarray, "R"]:
    """Rows to train on.

    Raises:
        UserError: there are none.
    """
    rows = dataset.rows(TRAIN)
    if len(rows) == 0:
        raise UserError(
            f"{dataset.path} has no training frames (of {len(dataset)}; "
            f"{int(dataset.valid.sum())} of {len(dataset.valid)} timesteps show a face): "
            "pack the subject again"
        )
    return rows


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


def neutral_face_scale(rig: HeadRig, params: RigParams) -> Float[Tensor, "F"]:
    """k (m) of every face on the subject's unposed, expressionless mesh."""
    neutral = params.shape.new_zeros(rig.num_expr)
    verts = rig.rest(params.shape, neutral, params.static_offset)
    return face_frames(verts, rig.faces).scale


def scene_extent(preset: Preset, rig: HeadRig, dataset: Dataset) -> float:
    """The scene's size in metres: the head's radius or, if asked for, the cameras' spread.

    `cameras`: 1.1 x the largest distance of a camera from the mean of all, where at least two
    stand apart, and never less than the head; one static camera would make it zero.
    """
    if preset.extent == "head":
        return rig.head_radius
    viewmats = dataset.cameras.viewmats
    centres = -np.einsum("cji,cj->ci", viewmats[:, :3, :3], viewmats[:, :3, 3])
    spread = 1.1 * float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    return max(spread, rig.head_radius)


def first_gaussians(
    preset: Preset, rig: HeadRig, dataset: Dataset, rows: Int[np.ndarray, "R"]
) -> RiggedGaussians:
    """One Gaussian on every face, as the preset starts them.

    Args:
        rows: training frames, from which colours are taken if the preset asks for it.
    """
    start = preset.start
    gaussians = RiggedGaussians.on_faces(
        len(rig.faces), preset.sh_degree, start.opacity, preset.basis.size
    )
    gaussians.log_scales += math.log(start.scale)
    if start.color_frames:
        chosen = np.linspace(0, len(rows) - 1, start.color_frames).astype(int)
        colors = face_colors(dataset, rig, np.unique(rows[chosen]))
        gaussians.sh_dc[:, 0] = color_to_sh(torch.from_numpy(colors))
    return gaussians
