"""Where MediaPipe's landmarks lie on a rig: render it, detect, cast the pixels back.

Works for any rig of the `HeadRig` class, so that no third-party embedding file is needed. What
is found is where the detector *puts* its landmarks, its habits included; the spread over views,
identities and expressions says how far to trust each of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from avatar.render.mesh import KEY_LIGHT, interpolate, rasterize_mesh, vertex_normals
from avatar.rig import HeadRig, Landmarks, arkit
from pipeline.landmarks import LEFT_IRIS, RIGHT_IRIS, detect_images

SIZE = 384  # pixels; the head fills about 60 %
DISTANCE, FOCAL = 0.9, 2.5  # m from the head's middle; focal length over width
YAWS, PITCHES = (-40, -25, -12, 0, 12, 25, 40), (-12, 0, 12)  # degrees
EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.35},
    {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6},
    {"jawOpen": 0.7, "browInnerUp": 0.6, "browOuterUpLeft": 0.6, "browOuterUpRight": 0.6},
    {"mouthPucker": 0.6},
)
SHAPE_SPREAD = 0.6  # standard deviations of the random identities
REACH = 4  # pixels from a landmark that lies in the eye or mouth to the surface it belongs to
MIN_COSINE = 0.35  # between a surface's normal and the view: grazing hits are worth little
MIN_SHARE = 0.25  # of the renders in which a landmark must hit its surface
MAX_SPREAD = 0.0045  # m; above, a landmark slides over the surface (the face's outline)


@dataclass(frozen=True)
class View:
    """One render: its picture and the surface under every pixel."""

    image: UInt8[np.ndarray, "S S 3"]
    face_ids: Int[np.ndarray, "S S"]
    barycentric: Float[np.ndarray, "S S 3"]
    facing: Float[np.ndarray, "S S"]


def embed(rig: HeadRig, texture: UInt8[np.ndarray, "R R 3"]) -> Landmarks:
    """Find the landmarks of a rig.

    Args:
        rig: its `masks` name `eyeballs`, `skin` and `inner_mouth`.
        texture: a face painted on the rig's texture map; brows and lips matter.
    Returns:
        The landmarks that hit the surface reliably, iris centres on the eyeballs among them.
    Raises:
        RuntimeError: the detector finds no face in most of the renders.
    """
    views = list(_views(rig, texture))
    detections = detect_images(view.image for view in views)
    if detections.found.mean() < 0.5:
        raise RuntimeError(f"rig {rig.name}: a face in {detections.found.mean():.0%} of renders")
    faces = rig.faces.numpy()
    surfaces = _surfaces(rig)
    chosen = []
    for landmark in [*range(RIGHT_IRIS), RIGHT_IRIS, LEFT_IRIS]:
        allowed = surfaces["iris" if landmark >= RIGHT_IRIS else "skin"]
        hits = [
            _hit(view, points[landmark], allowed)
            for view, points in zip(views, detections.points, strict=True)
        ]
        found = [hit for hit in hits if hit is not None]
        if len(found) >= MIN_SHARE * len(views):
            face, weights, spread = _middle(found, rig.v_template.numpy(), faces)
            if spread <= MAX_SPREAD:
                chosen.append((landmark, face, weights, spread))
    ids, face, weights, spread = zip(*chosen, strict=True)
    return Landmarks(
        torch.tensor(ids), torch.tensor(face), torch.tensor(np.stack(weights)).float(),
        torch.tensor(spread).float(),
    )  # fmt: skip


def _surfaces(rig: HeadRig) -> dict[str, Bool[np.ndarray, "F"]]:
    """Faces on which a landmark may lie, by kind of landmark."""
    faces = rig.faces.numpy()
    outer = (rig.masks["skin"] & ~rig.masks["inner_mouth"]).numpy()
    return {"skin": outer[faces].all(1), "iris": rig.masks["eyeballs"].numpy()[faces].all(1)}


def _views(rig: HeadRig, texture: UInt8[np.ndarray, "R R 3"]) -> Iterator[View]:
    """Renders of random identities: all directions, the expressions taking turns."""
    rng = np.random.default_rng(0)
    directions = [(yaw, pitch) for yaw in YAWS for pitch in PITCHES]
    for turn in range(len(EXPRESSIONS)):
        for number, (yaw, pitch) in enumerate(directions):
            strengths = EXPRESSIONS[(number + turn) % len(EXPRESSIONS)]
            shape = torch.from_numpy(rng.normal(0, SHAPE_SPREAD, rig.num_shape)).float()
            yield render(rig, pose(rig, strengths, shape), texture, yaw, pitch)


def pose(
    rig: HeadRig, strengths: dict[str, float], shape: Float[torch.Tensor, "S"]
) -> Float[np.ndarray, "V 3"]:
    """Vertices (m) of a rig with ARKit's expressions, looking straight ahead."""
    parameters = arkit.from_arkit(arkit.named(dict(strengths), 1)[0])
    still = torch.zeros(3)
    with torch.no_grad():
        verts = rig(shape, rotation=still, neck_pose=still, translation=still, **parameters)
    return verts.numpy()


def orbit(yaw: float, pitch: float) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "3 3"]]:
    """Camera on a sphere about the rig's origin.

    Args:
        yaw: degrees to the subject's left.
        pitch: degrees upwards.
    Returns:
        World-to-camera matrix and K for images of `SIZE`.
    """
    a, b = np.radians([yaw, pitch])
    back = np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, np.cross(right, back), -back])
    viewmat[2, 3] = DISTANCE
    K = np.array([[FOCAL * SIZE, 0, SIZE / 2], [0, FOCAL * SIZE, SIZE / 2], [0, 0, 1.0]])
    return viewmat, K


def render(
    rig: HeadRig,
    verts: Float[np.ndarray, "V 3"],
    texture: UInt8[np.ndarray, "R R 3"],
    yaw: float,
    pitch: float,
) -> View:
    """Draw posed vertices, textured and lit from the camera's side, on grey."""
    viewmat, K = orbit(yaw, pitch)
    faces = rig.faces.numpy()
    face_ids, barycentric, _ = rasterize_mesh(verts, faces, viewmat, K, SIZE, SIZE)
    normals = vertex_normals(verts, faces) @ viewmat[:3, :3].T
    light = np.clip(normals @ (np.asarray(KEY_LIGHT) * (1, -1, -1)), 0, 1)
    shading = interpolate(
        np.stack([0.4 + 0.6 * light, -normals[:, 2]], 1), faces, face_ids, barycentric
    )
    image = sample(rig, texture, face_ids, barycentric) * shading[..., :1]
    image[face_ids < 0] = 150
    return View(image.astype(np.uint8), face_ids, barycentric, shading[..., 1])


def sample(
    rig: HeadRig,
    texture: UInt8[np.ndarray, "R R 3"],
    face_ids: Int[np.ndarray, "H W"],
    barycentric: Float[np.ndarray, "H W 3"],
) -> Float[np.ndarray, "H W 3"]:
    """The texture's colours (0..255) at the pixels of a raster; any colour without a face."""
    drawn = face_ids >= 0
    corners = rig.uv.numpy()[rig.uv_faces.numpy()[face_ids[drawn]]]
    uv = (corners * barycentric[drawn][..., None]).sum(1).astype(np.float32)
    size = texture.shape[0]
    x, y = np.zeros((2, *face_ids.shape), np.float32)
    x[drawn], y[drawn] = uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5
    picked = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return picked.astype(np.float32)


def _hit(
    view: View, point: Float[np.ndarray, "2"], allowed: Bool[np.ndarray, "F"]
) -> tuple[int, Float[np.ndarray, "3"]] | None:
    """The allowed surface at a landmark, or the nearest one a few pixels away, or None."""
    if not np.isfinite(point).all():
        return None
    column, row = (int(v) for v in np.floor(point))
    top, left = max(row - REACH, 0), max(column - REACH, 0)
    window = (slice(top, row + REACH + 1), slice(left, column + REACH + 1))
    ids = view.face_ids[window]
    good = (ids >= 0) & allowed[ids] & (view.facing[window] > MIN_COSINE)
    rows, columns = np.nonzero(good)
    if not len(rows):
        return None
    distance = np.hypot(columns + left + 0.5 - point[0], rows + top + 0.5 - point[1])
    best = distance.argmin()
    if distance[best] > REACH:
        return None
    at = rows[best] + top, columns[best] + left
    return int(view.face_ids[at]), view.barycentric[at].astype(np.float64)


def _middle(
    hits: list[tuple[int, Float[np.ndarray, "3"]]],
    template: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
) -> tuple[int, Float[np.ndarray, "3"], float]:
    """The hit nearest to the robust mean of all, and their spread about it (m, on the template).

    The mean is reweighted five times by Cauchy's weights at the median distance.
    """
    corners = np.stack([template[faces[face]] for face, _ in hits])
    weights = np.stack([w for _, w in hits])
    points = (corners * weights[..., None]).sum(1)
    mean = np.median(points, 0)
    for _ in range(5):
        distance = np.linalg.norm(points - mean, axis=1)
        trust = 1 / (1 + (distance / max(float(np.median(distance)), 1e-6)) ** 2)
        mean = (points * trust[:, None]).sum(0) / trust.sum()
    distance = np.linalg.norm(points - mean, axis=1)
    best = int(distance.argmin())
    spread = float(np.sqrt((trust * distance**2).sum() / trust.sum()))
    return hits[best][0], weights[best], spread
