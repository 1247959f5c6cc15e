"""Which part of the person a pixel shows: torso, neck or head, from the tracked rig."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from avatar.data.cameras import Cameras
from avatar.data.layout import TORSO
from avatar.data.regions import face_regions
from avatar.render.mesh import rasterize_mesh
from avatar.rig import HeadRig, RigParams
from pipeline.matte.backends import Alpha
from pipeline.matte.refine import WORKING

BLOCK = 32  # timesteps posed at a time: a fifth of the cost of one by one


class RegionMaps:
    """Region maps of a subject's frames.

    The posed mesh is drawn with its regions; what alpha shows beyond it (hair, clothes, wide
    shoulders) takes the region of the nearest drawn pixel.
    """

    def __init__(self, rig: HeadRig, params: RigParams, cameras: Cameras) -> None:
        self._rig, self._params, self._cameras = rig, params, cameras
        self._faces = rig.faces.cpu().numpy()
        self._region = face_regions(rig)
        self._posed: dict[int, Float[np.ndarray, "V 3"]] = {}

    def __call__(self, timestep: int, camera: int, alpha: Alpha) -> UInt8[np.ndarray, "H W"]:
        """The region of every pixel of a frame: BACKGROUND where its alpha is 0."""
        height, width = alpha.shape
        shrink = max(1.0, max(height, width) / WORKING)
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        K = np.diag([size[0] / width, size[1] / height, 1.0]) @ self._cameras.Ks[camera]
        seen, _, _ = rasterize_mesh(
            self._verts(timestep), self._faces, self._cameras.viewmats[camera], K, *size
        )
        if not (seen >= 0).any():
            # The head is out of the picture: what is left of the person is torso.
            return np.where(alpha > 0, TORSO, 0).astype(np.uint8)
        regions = spread(np.where(seen >= 0, self._region[seen], 0).astype(np.uint8))
        full = cv2.resize(regions, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.where(alpha > 0, full, 0).astype(np.uint8)

    def _verts(self, timestep: int) -> Float[np.ndarray, "V 3"]:
        """Vertices at one timestep (m, world); the ones after it are posed along."""
        if timestep not in self._posed:
            block = range(timestep, min(timestep + BLOCK, len(self._params)))
            with torch.no_grad():
                verts = self._rig(**self._params.poses(torch.tensor(block))).double().numpy()
            self._posed = dict(zip(block, verts, strict=True))
        return self._posed[timestep]


def spread(regions: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """Give every pixel of value 0 the value of the nearest other one; at least one is not 0."""
    _, nearest = cv2.distanceTransformWithLabels(
        (regions == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(nearest.max() + 1, np.uint8)
    drawn = regions > 0
    values[nearest[drawn]] = regions[drawn]
    spreaded: UInt8[np.ndarray, "H W"] = values[nearest]
    return spreaded
