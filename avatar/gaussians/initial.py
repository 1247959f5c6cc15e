"""Before the first step: what is trained on, the scene's size, and the first colours."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.base.errors import UserError
from avatar.data.dataset import Dataset
from avatar.data.layout import TRAIN
from avatar.gaussians.binding import FaceFrames, face_frames
from avatar.gaussians.model import color_to_sh
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig, RigParams

MOUTH = (0.12, 0.05, 0.04)  # RGB of its inside where no frame shows it


def face_colors(
    dataset: Dataset, params: RigParams, rig: HeadRig, rows: Int[np.ndarray, "R"]
) -> Float[np.ndarray, "F 3"]:
    """Mean colour of the pixels where each face is the nearest.

    Pixels count by their alpha. A face that no frame shows gets the mean of all or, inside the
    mouth, a dark red.

    Args:
        params: where the mesh is in the dataset's timesteps.
        rows: frames to look at.
    Returns:
        RGB 0..1, float32.
    """
    faces = rig.faces.numpy()
    total = np.zeros((len(faces), 4))
    for row in rows:
        with torch.no_grad():
            verts = rig(**params.poses(torch.tensor([int(dataset.timestep[row])])))[0]
        camera, cameras = int(dataset.camera[row]), dataset.cameras
        image, alpha = dataset.image(int(row)), dataset.alpha(int(row))
        view = (cameras.viewmats[camera], cameras.Ks[camera])
        ids, _, _ = rasterize_mesh(verts.numpy(), faces, *view, image.shape[1], image.shape[0])
        seen = ids >= 0
        weight = alpha[seen] / 255.0
        for channel in range(3):
            values = weight * image[seen][:, channel] / 255.0
            total[:, channel] += np.bincount(ids[seen], values, len(faces))
        total[:, 3] += np.bincount(ids[seen], weight, len(faces))
    known = total[:, 3] > 0
    overall = total[:, :3].sum(0) / max(total[:, 3].sum(), 1e-9)
    unknown = np.where(_in_mouth(rig)[:, None], MOUTH, overall)
    colors = np.where(known[:, None], total[:, :3] / np.maximum(total[:, 3:], 1e-9), unknown)
    return colors.astype(np.float32)


def _in_mouth(rig: HeadRig) -> Bool[np.ndarray, "F"]:
    """Faces that closed lips hide."""
    masks = [rig.masks[name] for name in ("inner_mouth", "teeth", "tongue") if name in rig.masks]
    inside = sum(masks, torch.zeros(len(rig.v_template), dtype=torch.bool))
    return inside[rig.faces].all(1).numpy()


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


def neutral_frames(rig: HeadRig, params: RigParams) -> FaceFrames:
    """The faces' frames on the subject's unposed, expressionless mesh."""
    neutral = params.shape.new_zeros(rig.num_expr)
    return face_frames(rig.rest(params.shape, neutral, params.static_offset), rig.faces)


def scene_extent(rig: HeadRig, viewmats: Float[np.ndarray, "C 4 4"] | None = None) -> float:
    """The scene's size in metres: the head's radius or, with cameras, their spread if larger.

    The spread is 1.1 x the largest distance of a camera's centre from the mean of all; with one
    camera it is zero, and the head's radius is used.

    Args:
        viewmats: world-to-camera of the cameras that are trained on.
    """
    if viewmats is None:
        return rig.head_radius
    centres = -np.einsum("cji,cj->ci", viewmats[:, :3, :3], viewmats[:, :3, 3])
    spread = 1.1 * float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    return max(spread, rig.head_radius)


def first_colors(
    dataset: Dataset, params: RigParams, rig: HeadRig, rows: Int[np.ndarray, "R"], count: int
) -> Float[Tensor, "F 1 3"]:
    """Constant colour coefficients of all faces, from `count` frames spread over the rows."""
    chosen = np.linspace(0, len(rows) - 1, count).astype(int)
    colors = face_colors(dataset, params, rig, np.unique(rows[chosen]))
    return color_to_sh(torch.from_numpy(colors))[:, None]
