"""The skin of a rig's face as points whose colour can be followed from frame to frame."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import njit

from avatar.render.mesh import rasterize_mesh, vertex_normals
from avatar.rig import HeadRig
from avatar.rig.landmarks import Landmarks
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.state import State

GAP = 0.005  # m; one point for every cube of this size that the face passes through
WET = ("inner_mouth", "teeth", "tongue", "eyeballs")  # masks whose vertices are no skin
FACING = 0.35  # least cosine between a point's normal and the way to the camera
SAME = 0.004  # m; a point that lies deeper than the drawn mesh by more is hidden
CLIFF = 0.02  # m; where the depth about a point differs by more, other things colour its pixels


@dataclass(frozen=True)
class Skin:
    """The face of a rig, and those of its vertices that serve as points.

    Attributes:
        surface: the M vertices of the faces that are drawn to find out what hides what.
        faces [F,3]: triangles of those vertices.
        chosen [N]: which of them are points; points: their model.
    """

    surface: LandmarkModel
    faces: Int[np.ndarray, "F 3"]
    chosen: Int[np.ndarray, "N"]
    points: LandmarkModel

    def __len__(self) -> int:
        return len(self.chosen)

    def world(self, state: State) -> Float[np.ndarray, "T M 3"]:
        """The surface's vertices, metres."""
        head = self.surface.points(state.shape, state.expr, state.hinges).swapaxes(1, 2)
        arms = head - self.surface.pivot
        return arms @ state.rotation.swapaxes(1, 2) + state.centre[:, None]

    def normals(self, verts: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "N 3"]:
        """Unit normals of the points of a posed surface, world frame."""
        return vertex_normals(verts, self.faces)[self.chosen]

    def depth(
        self,
        verts: Float[np.ndarray, "M 3"],
        viewmat: Float[np.ndarray, "4 4"],
        K: Float[np.ndarray, "3 3"],
        width: int,
        height: int,
    ) -> Float[np.ndarray, "h w"]:
        """Depth (m) of a posed surface at the pixels of an image, in single precision."""
        return rasterize_mesh(verts, self.faces, viewmat, K, width, height)[2].astype(np.float32)

    def visible(
        self,
        verts: Float[np.ndarray, "M 3"],
        normals: Float[np.ndarray, "N 3"],
        viewmat: Float[np.ndarray, "4 4"],
        K: Float[np.ndarray, "3 3"],
        depth: Float[np.ndarray, "h w"],
        reach: int,
    ) -> Bool[np.ndarray, "N"]:
        """Which points a camera sees clearly.

        They face it, nothing lies before them in `depth`, and no edge of the surface is within
        `reach` pixels.
        """
        ring = np.exp(0.25j * np.pi * np.arange(8)) * reach
        around = np.stack([ring.real, ring.imag], 1).round().astype(np.int64)
        return _clear(verts[self.chosen], normals, viewmat, K, depth, around, reach)


def skin(rig: HeadRig, pivot: Float[np.ndarray, "3"]) -> Skin:
    """The skin of a rig's face.

    Args:
        pivot: that of the landmarks' model, whose states pose the skin.
    """
    face = rig.masks["face"]
    faces = rig.faces.numpy()
    drawn = faces[face.numpy()[faces].any(1)]
    surface, local = np.unique(drawn, return_inverse=True)
    bare = face.clone()
    for name in WET:
        if name in rig.masks:
            bare &= ~rig.masks[name]
    vertices = np.flatnonzero(bare.numpy())
    cubes = np.floor(rig.v_template.numpy()[vertices] / GAP).astype(int)
    vertices = np.sort(vertices[np.unique(cubes, axis=0, return_index=True)[1]])
    return Skin(
        _vertex_model(rig, surface, pivot), local.reshape(drawn.shape),
        np.searchsorted(surface, vertices), _vertex_model(rig, vertices, pivot),
    )  # fmt: skip


def _vertex_model(
    rig: HeadRig, vertices: Int[np.ndarray, "M"], pivot: Float[np.ndarray, "3"]
) -> LandmarkModel:
    """A model whose landmarks are vertices: each is a corner of some face."""
    faces = rig.faces.numpy()
    face, corner = np.zeros((2, rig.num_verts), int)
    for number in range(3):
        face[faces[:, number]], corner[faces[:, number]] = np.arange(len(faces)), number
    landmarks = Landmarks(
        torch.from_numpy(vertices), torch.from_numpy(face[vertices]),
        torch.from_numpy(np.eye(3)[corner[vertices]]), torch.zeros(len(vertices)),
        torch.zeros(len(vertices), 3, 0),
    )  # fmt: skip
    model = LandmarkModel(HeadRig(rig.name, rig.tensors(), rig.expr_names, rig.masks, landmarks))
    model.pivot = pivot
    return model


@njit(cache=True, nogil=True)
def _clear(places, normals, viewmat, K, depth, around, reach):
    height, width = depth.shape
    result = np.zeros(len(places), np.bool_)
    seen = np.empty(3)
    for point in range(len(places)):
        for i in range(3):
            seen[i] = viewmat[i, 3]
            for j in range(3):
                seen[i] += viewmat[i, j] * places[point, j]
        towards = 0.0
        for i in range(3):
            for j in range(3):
                towards -= seen[i] * viewmat[i, j] * normals[point, j]
        if towards <= FACING * np.sqrt((seen**2).sum()):
            continue
        x = int(np.floor(seen[0] / seen[2] * K[0, 0] + K[0, 2]))
        y = int(np.floor(seen[1] / seen[2] * K[1, 1] + K[1, 2]))
        if x < reach or y < reach or x >= width - reach or y >= height - reach:
            continue
        on_top = False
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                on_top |= abs(depth[y + dy, x + dx] - seen[2]) < SAME
        for step in range(len(around)):
            on_top &= abs(depth[y + around[step, 1], x + around[step, 0]] - seen[2]) < CLIFF
        result[point] = on_top
    return result
