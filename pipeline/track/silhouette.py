"""Personal shape from outlines: where the mesh's rim and the alpha's edge disagree."""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse
from scipy.sparse.linalg import splu

from avatar.cameras import Cameras
from avatar.dataset import AlphaStore
from avatar.render.mesh import project, rasterize_mesh, to_camera, vertex_normals
from avatar.rig import HeadRig, RigParams
from avatar.rig.rotations import axis_angle_to_matrix
from pipeline.track.problem import Hint

ROWS = 96  # frames that are looked at, spread over time and cameras
REACH = 0.025  # m; how far from the rim an edge of the alpha is sought
STEPS = 41  # samples across
RIM = 1.5  # pixels between a vertex and the outside of the drawn mesh
NOISE, OUTLIER = 0.0015, 0.008  # m; deviation of a measured outline, and where it loses its say
EVIDENCE = 0.2  # neighbours on an outline err together: each counts as this much of one
SMOOTH, SHRINK, STILL = 30.0, 1e-4, 1e3  # of the offset: bending, length, length where it is held
FACE = 1.0  # of the offset's length on the face, which landmarks and identity know better
HAIR = 0.3  # weight of an outline beyond the mesh where hair may be
EAR = 0.01  # m; how far an ear may stand off the mean head's
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
    """Find the alpha's edge across every rim vertex of the head in the given frames."""
    faces = rig.faces.numpy()
    outline = _outline_vertices(rig)
    parts = []
    for row in rows:
        timestep, camera = int(alphas.timestep[row]), int(alphas.camera[row])
        verts, turns = _posed(rig, params, timestep)
        viewmat, K = cameras.viewmats[camera], cameras.Ks[camera]
        alpha = alphas.alpha(int(row))
        normals = vertex_normals(verts, faces) @ viewmat[:3, :3].T
        pixels, seen = project(verts, viewmat, K), to_camera(verts, viewmat)
        rim = outline & _on_rim(seen, normals, faces)
        rim[rim] = _near_outside(pixels[rim], rasterize_mesh(
            verts, faces, viewmat, K, alpha.shape[1], alpha.shape[0])[0] >= 0)  # fmt: skip
        vertices = np.flatnonzero(rim)
        across = normals[vertices, :2]
        across = across / np.linalg.norm(across, axis=1, keepdims=True)
        metres = seen[vertices, 2] / K[0, 0]
        distances = edge_distance(alpha, pixels[vertices], across, REACH / metres) * metres
        kept = np.isfinite(distances)
        in_world = across @ viewmat[:2, :3]
        directions = np.einsum("nij,ni->nj", turns[vertices], in_world)
        parts.append((vertices[kept], directions[kept], distances[kept]))
    vertices, directions, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Rim(vertices, directions, distances)


def _outline_vertices(rig: HeadRig) -> Bool[np.ndarray, "V"]:
    """The head's outer skin: clothes hide the neck, and lids and lips make no outline."""
    outer = rig.masks["skin"] & ~rig.masks["neck"]
    for name in INNER & rig.masks.keys():
        outer &= ~rig.masks[name]
    return outer.numpy()


def _posed(
    rig: HeadRig, params: RigParams, timestep: int
) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3 3"]]:
    """Vertices (m, world) and the matrices that carry changes of the rest pose there."""
    chosen = torch.tensor([timestep])
    poses = params.poses(chosen)
    with torch.no_grad():
        verts = rig(**poses)[0]
        angles = torch.cat(
            [
                *(poses[name] for name in ("rotation", "neck_pose", "jaw_pose")),
                poses["eyes_pose"],
            ],
            1,
        ).unflatten(1, (5, 3))
        turns, _ = rig.joint_transforms(axis_angle_to_matrix(angles), rig.joints(params.shape))
        blended = torch.einsum("vj,jab->vab", rig.skin_weights, turns[0])
    return verts.double().numpy(), blended.double().numpy()


def _on_rim(
    seen: Float[np.ndarray, "V 3"], normals: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Bool[np.ndarray, "V"]:
    """Vertices between faces that look to the camera and faces that look away."""
    corners = seen[faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    towards = (outward * corners[:, 0]).sum(1) < 0
    front, back = np.zeros((2, len(seen)), bool)
    front[faces[towards]] = True
    back[faces[~towards]] = True
    flat = np.linalg.norm(normals[:, :2], axis=1) > 0.5
    return front & back & flat


def _near_outside(
    pixels: Float[np.ndarray, "N 2"], drawn: Bool[np.ndarray, "H W"]
) -> Bool[np.ndarray, "N"]:
    """Points within the image and at most `RIM` pixels inside the drawn mesh's edge."""
    depth = cv2.distanceTransform(drawn.astype(np.uint8), cv2.DIST_L2, 5)
    height, width = drawn.shape
    x, y = np.floor(pixels).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    depth_at = depth[y.clip(0, height - 1), x.clip(0, width - 1)]
    return inside & (depth_at <= RIM)


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


def overlap(
    rig: HeadRig,
    params: RigParams,
    cameras: Cameras,
    alphas: AlphaStore,
    rows: Int[np.ndarray, "R"],
    part: Literal["head", "shoulders"],
) -> float:
    """Intersection over union of mesh and alpha, mean over the given frames.

    The head counts in its surroundings above the chin, where neither neck nor clothes are; the
    shoulders in the band below the head that is half as high as it.
    """
    faces = rig.faces.numpy()
    of_head = ~rig.masks["neck"].numpy()[faces].any(1)
    ratios = []
    for row in rows:
        camera = int(alphas.camera[row])
        viewmat, K = cameras.viewmats[camera], cameras.Ks[camera]
        verts, turns = _posed(rig, params, int(alphas.timestep[row]))
        covered = alphas.alpha(int(row)) >= 128
        height, width = covered.shape
        ids = rasterize_mesh(verts, faces, viewmat, K, width, height)[0]
        drawn, head = ids >= 0, (ids >= 0) & of_head[ids]
        if part == "head":
            region = _above_chin(rig, verts, turns, viewmat, K, head) & (head | ~drawn)
        else:
            region = _below_head(head)
        union = ((drawn | covered) & region).sum()
        if union:
            ratios.append((drawn & covered & region).sum() / union)
    return float(np.mean(ratios)) if ratios else 0.0


def _below_head(head: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    rows = np.flatnonzero(head.any(1))
    region = np.zeros_like(head)
    if len(rows):
        region[rows[-1] + 1 : rows[-1] + 1 + len(rows) // 2] = True
    return region


def _above_chin(
    rig: HeadRig,
    verts: Float[np.ndarray, "V 3"],
    turns: Float[np.ndarray, "V 3 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    head: Bool[np.ndarray, "H W"],
) -> Bool[np.ndarray, "H W"]:
    """Pixels in the drawn head's box, a little enlarged, and above the face's lowest point."""
    rows, columns = np.nonzero(head)
    if not len(rows):
        return head
    face = project(verts[rig.masks["face"].numpy()], viewmat, K)
    down = viewmat[:2, :3] @ -turns[rig.masks["scalp"].numpy()].mean(0)[:, 1]
    y, x = np.mgrid[: head.shape[0], : head.shape[1]] + 0.5
    above = down[0] * x + down[1] * y < (face @ down).max()
    margin = 0.1 * np.ptp(rows)
    box = (abs(x - (columns.min() + columns.max() + 1) / 2) < np.ptp(columns) / 2 + margin) & (
        abs(y - (rows.min() + rows.max() + 1) / 2) < np.ptp(rows) / 2 + margin
    )
    return above & box


def hair(rig: HeadRig) -> Bool[np.ndarray, "V"]:
    """Where hair may hide the skin: everything that is neither face nor neck."""
    return ~(rig.masks["face"] | rig.masks["neck"]).numpy()


def shape_hint(rig: HeadRig, rim: Rim, shape: Float[np.ndarray, "S"]) -> Hint:
    """What the outlines say of the identity, poses held: least squares on bare skin.

    Where hair may be, the alpha only says that the head is not larger than it.
    """
    trusted = ~hair(rig)[rim.vertices] | (rim.distances < 0)
    vertices, distances = rim.vertices[trusted], rim.distances[trusted]
    basis = rig.shapedirs.numpy()[vertices].astype(np.float64)
    slopes = np.einsum("ni,nis->ns", rim.directions[trusted], basis)
    robust = 1 / (1 + (distances / OUTLIER) ** 2) ** 2
    weight = EVIDENCE * robust / NOISE**2
    return Hint(shape, slopes.T @ (slopes * weight[:, None]), -slopes.T @ (weight * distances))


def static_offset(rig: HeadRig, rim: Rim) -> Float[np.ndarray, "V 3"]:
    """Smooth personal shape (m, rest pose) beyond the identity basis that meets the outlines.

    Minimises the outlines' misses, the squared uniform Laplacian of the offset (Sorkine et al.
    2004) and, weakly, the offset itself; robustly, by reweighting. Lids, lips and the neck stay
    where they are. Where hair may be the mesh is drawn in as firmly as on skin, but drawn out
    less: towards the hair's outline, which is what an avatar needs there. Far
    beyond an ear the outline is that of hair, which would blow the ear up.
    """
    smooth = _laplacian(rig)
    still = np.where(rig.masks["face"].numpy(), FACE, 0.0)
    for name in (INNER | {"neck"}) & rig.masks.keys():
        still[rig.masks[name].numpy()] = STILL
    regular = SMOOTH * (smooth.T @ smooth) + sparse.diags(still + SHRINK)
    rim = _inside_hair(rig, rim)
    loose = np.where(hair(rig)[rim.vertices] & (rim.distances > 0), HAIR, 1.0)
    if "ears" in rig.masks:
        ears = rig.masks["ears"].numpy()[rim.vertices]
        loose[ears & (rim.distances > EAR)] = 0.0
    count = len(rim.vertices)
    rows = np.repeat(np.arange(count), 3)
    columns = (3 * rim.vertices[:, None] + np.arange(3)).ravel()
    shape = (count, 3 * rig.num_verts)
    slopes = sparse.csr_matrix((rim.directions.ravel(), (rows, columns)), shape)
    system = sparse.kron(regular, sparse.eye(3))
    # Often measured vertices say no more than others: a vertex's votes sum up to one.
    votes = np.bincount(rim.vertices, minlength=rig.num_verts)[rim.vertices]
    offset = np.zeros(3 * rig.num_verts)
    for _ in range(3):
        miss = slopes @ offset - rim.distances
        limit = np.where(loose < 1, REACH, OUTLIER)
        weight = sparse.diags(loose / votes / (1 + (miss / limit) ** 2) ** 2)
        factor = splu((system + slopes.T @ weight @ slopes).tocsc())
        offset = factor.solve(slopes.T @ (weight @ rim.distances))
    return offset.reshape(-1, 3)


def _inside_hair(rig: HeadRig, rim: Rim) -> Rim:
    """Where hair may be, no vertex is drawn out further than most of its frames allow.

    Hair stands off to one side in one frame and not in the next: what is under it lies within
    the alpha in all of them, as a visual hull does (Laurentini 1994).
    """
    order = np.lexsort((rim.distances, rim.vertices))
    starts = np.searchsorted(rim.vertices[order], rim.vertices, "left")
    counts = np.bincount(rim.vertices, minlength=rig.num_verts)[rim.vertices]
    low = rim.distances[order][starts + counts // 5]
    capped = np.minimum(rim.distances, np.maximum(low, 0))
    return replace(rim, distances=np.where(hair(rig)[rim.vertices], capped, rim.distances))


def _laplacian(rig: HeadRig) -> sparse.csr_matrix:
    """Vertex minus the mean of its neighbours."""
    faces = rig.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    ones = np.ones(len(edges))
    count = rig.num_verts
    neighbours = sparse.coo_matrix((ones, edges.T), (count, count)).tocsr()
    neighbours = neighbours + neighbours.T
    degree = np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1)
    return sparse.csr_matrix(sparse.eye(count) - sparse.diags(1 / degree) @ neighbours)
