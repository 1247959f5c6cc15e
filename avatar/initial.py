"""First colours for the Gaussians: what the training frames show on each face of the mesh."""

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar.dataset import Dataset
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig


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
