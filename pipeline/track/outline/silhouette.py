"""Outlines: where the mesh's rim and the alpha's edge disagree, and the identity behind it."""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore
from avatar.render import mesh
from avatar.rig import HeadRig, RigParams
from avatar.rig.rotations import axis_angle_to_matrix
from pipeline.track.solve.priors import ShapePrior

ROWS = 96  # frames that are looked at, spread over time and cameras
REACH = 0.025  # m; how far from the rim an edge of the alpha is sought
STEPS = 41  # samples across
CLOTHES = 0.06  # m; the same from the neck and the shoulders, where clothes stand off
FLAT = 0.5  # of a normal's length at least lies across the view at the rim
NOISE, OUTLIER = 0.0015, 0.008  # m; deviation of a measured outline, and where it is an outlier
EVIDENCE = 0.2  # neighbours on an outline err together: each counts as this much of one
INNER = {"eyeballs", "inner_mouth", "teeth", "tongue", "mouth", "eyes"}  # masks that stay put


@dataclass(frozen=True)
class Rim:
    """Measured outline of N rim vertices, many of them seen several times.

    `directions [N,3]` turn with the rest pose: moving vertex i of the unposed mesh by x moves
    its outline outwards by `directions @ x`, and the alpha asks for `distances` (m).
    """

    vertices: Int[np.ndarray, "N"]
    directions: Float[np.ndarray, "N 3"]
    distances: Float[np.ndarray, "N"]
    timesteps: Int[np.ndarray, "N"]

    def on(self, part: Bool[np.ndarray, "V"]) -> "Rim":
        """What was measured at some of the vertices."""
        kept = part[self.vertices]
        return Rim(*(getattr(self, field.name)[kept] for field in fields(self)))

    def without(self, offset: Float[np.ndarray, "V 3"]) -> "Rim":
        """The same edges, measured from where the vertices are without this offset (m)."""
        moved = np.einsum("nk,nk->n", self.directions, offset[self.vertices])
        return replace(self, distances=self.distances + moved)


def choose_rows(alphas: AlphaStore, valid: Bool[np.ndarray, "T"]) -> Int[np.ndarray, "R"]:
    """Frames of valid timesteps, evenly over time, every camera in turn."""
    timesteps = np.flatnonzero(valid)
    cameras = len(alphas.camera_ids)
    count = min(max(1, ROWS // cameras), len(timesteps))
    chosen = timesteps[np.linspace(0, len(timesteps) - 1, count).round().astype(int)]
    rows = [alphas.row(int(t), camera) for t in chosen for camera in range(cameras)]
    return np.array([row for row in rows if row >= 0], int)


def measure(
    rig: HeadRig,
    params: RigParams,
    cameras: Cameras,
    alphas: AlphaStore,
    rows: Int[np.ndarray, "R"],
) -> Rim:
    """Find the alpha's edge across every rim vertex of the skin in the given frames."""
    faces = rig.faces.numpy()
    outer = _outer_skin(rig)
    reach = np.where(rig.masks["neck"].numpy(), CLOTHES, REACH)
    weights = rig.skin_weights.numpy().astype(np.float64)
    timesteps, place = np.unique(alphas.timestep[rows], return_inverse=True)
    posed, turns = pose(rig, params, timesteps)
    parts = []
    for row, at in zip(rows, place, strict=True):
        camera, verts = int(alphas.camera[row]), posed[at]
        viewmat, K = cameras.viewmats[camera], cameras.Ks[camera]
        alpha = alphas.alpha(int(row))
        pixels, depths = project(verts, viewmat, K)
        vertices = np.flatnonzero(outer & _on_rim(pixels, faces))
        covered = mesh.cover(pixels, faces, alpha.shape[1], alpha.shape[0])
        vertices = vertices[_near_outside(pixels[vertices], covered)]
        across = mesh.vertex_normals(verts, faces)[vertices] @ viewmat[:2, :3].T
        length = np.linalg.norm(across, axis=1)
        vertices, across = vertices[length > FLAT], across[length > FLAT]
        across = across / length[length > FLAT, None]
        metres = depths[vertices] / K[0, 0]
        distances = (
            edge_distance(alpha, pixels[vertices], across, reach[vertices] / metres) * metres
        )
        kept = np.isfinite(distances)
        vertices = vertices[kept]
        blended = np.einsum("nj,jab->nab", weights[vertices], turns[at])
        directions = np.einsum("nab,na->nb", blended, across[kept] @ viewmat[:2, :3])
        parts.append((vertices, directions, distances[kept], np.full(len(vertices), timesteps[at])))
    return Rim(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _outer_skin(rig: HeadRig) -> Bool[np.ndarray, "V"]:
    """Lids and lips make no outline."""
    outer = rig.masks["skin"].clone()
    for name in INNER & rig.masks.keys():
        outer &= ~rig.masks[name]
    return outer.numpy()


def pose(
    rig: HeadRig, params: RigParams, timesteps: Int[np.ndarray, "B"]
) -> tuple[Float[np.ndarray, "B V 3"], Float[np.ndarray, "B 5 3 3"]]:
    """Vertices (m, world) and how far each joint has turned."""
    poses = params.poses(torch.from_numpy(timesteps))
    angles = [poses[name] for name in ("rotation", "neck_pose", "jaw_pose", "eyes_pose")]
    local = axis_angle_to_matrix(torch.cat(angles, 1).unflatten(1, (5, 3)))
    with torch.no_grad():
        verts = rig(**poses)
        turns, _ = rig.joint_transforms(local, rig.joints(params.shape))
    return verts.double().numpy(), turns.double().numpy()


def project(
    verts: Float[np.ndarray, "V 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
) -> tuple[Float[np.ndarray, "V 2"], Float[np.ndarray, "V"]]:
    """Pixels, NaN where a vertex is not in front of the camera, and depths (m)."""
    depths = mesh.to_camera(verts, viewmat)[:, 2]
    pixels = mesh.project(verts, viewmat, K)
    return np.where(depths[:, None] > mesh.NEAR, pixels, np.nan), depths


def _on_rim(
    pixels: Float[np.ndarray, "V 2"], faces: Int[np.ndarray, "F 3"]
) -> Bool[np.ndarray, "V"]:
    """Vertices between faces that look to the camera and faces that look away."""
    towards = mesh.facing(pixels, faces)
    front, back = np.zeros((2, len(pixels)), bool)
    front[faces[towards]] = True
    back[faces[~towards]] = True
    return front & back & np.isfinite(pixels[:, 0])


def _near_outside(
    pixels: Float[np.ndarray, "N 2"], covered: Bool[np.ndarray, "H W"]
) -> Bool[np.ndarray, "N"]:
    """Points in the image whose pixel, or one of the eight around it, is not covered."""
    height, width = covered.shape
    x, y = np.floor(pixels).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    deep = [covered[(y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)] for dx, dy in around]
    return inside & ~np.all(deep, axis=0)


def edge_distance(
    alpha: UInt8[np.ndarray, "H W"],
    pixels: Float[np.ndarray, "N 2"],
    across: Float[np.ndarray, "N 2"],
    reach: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "N"]:
    """How far (pixels) the alpha's edge lies from points, along outward directions.

    The edge is where the alpha falls through one half on the way out; of several the nearest
    counts. Positive: the alpha reaches further out than the point. NaN where there is no edge
    within `reach`, or the way leaves the image.
    """
    if not len(pixels):
        return np.zeros(0)
    steps = np.linspace(-1, 1, STEPS)[None] * reach[:, None]
    way = pixels[:, None] + steps[..., None] * across[:, None]
    height, width = alpha.shape
    within = ((way >= 0) & (way <= (width, height))).all((1, 2))
    x, y = (way - 0.5).astype(np.float32).transpose(2, 0, 1)
    taken = cv2.remap(alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    values = np.asarray(taken, np.float64) / 255
    before, after = values[:, :-1], values[:, 1:]
    falls = (before >= 0.5) & (after < 0.5)
    share = (before - 0.5) / np.maximum(before - after, 1e-6)
    place = steps[:, :-1] + share * np.diff(steps, axis=1)
    place = np.where(falls, place, np.inf)
    nearest = np.abs(place).argmin(1)
    result = place[np.arange(len(place)), nearest]
    return np.where(within & np.isfinite(result), result, np.nan)


def hair(rig: HeadRig) -> Bool[np.ndarray, "V"]:
    """Where hair may hide the skin: everything that is neither face nor neck."""
    return ~(rig.masks["face"] | rig.masks["neck"]).numpy()


def shape_prior(rig: HeadRig, rim: Rim, shape: Float[np.ndarray, "S"]) -> ShapePrior:
    """What the outlines say of the identity, poses held: least squares on bare skin.

    Where hair may be, the alpha only says that the head is not larger than it.
    """
    bare = ~hair(rig)[rim.vertices] | (rim.distances < 0)
    vertices, distances = rim.vertices[bare], rim.distances[bare]
    basis = rig.shapedirs.numpy()[vertices].astype(np.float64)
    slopes = np.einsum("ni,nis->ns", rim.directions[bare], basis)
    robust = 1 / (1 + (distances / OUTLIER) ** 2) ** 2
    weight = EVIDENCE * robust / NOISE**2
    return ShapePrior(
        shape, slopes.T @ (slopes * weight[:, None]), -slopes.T @ (weight * distances)
    )
