"""Where MediaPipe's landmarks lie on a rig: render it, detect, cast the pixels back.

Works for any rig of the `HeadRig` class, so that no third-party embedding file is needed. What
is found is where the detector *puts* its landmarks, its bias included; the spread over views,
identities and expressions gives the weight of each of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from avatar.render.mesh import KEY_LIGHT, interpolate, rasterize_mesh, vertex_normals
from avatar.rig import HeadRig, Landmarks, arkit
from pipeline.detect.landmarks import LEFT_IRIS, RIGHT_IRIS, detect_images

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
EXPR_SPREAD = 0.4  # the same of expressions that have no names, on top of the open jaw
REACH = 4  # pixels from a landmark that lies in the eye or mouth to the surface it belongs to
LANDMARKS = [*range(RIGHT_IRIS), RIGHT_IRIS, LEFT_IRIS]  # of MediaPipe's 478; irises' centres
MIN_COSINE = 0.35  # between a surface's normal and the view: grazing hits are worth little
MIN_SHARE = 0.25  # of the renders in which a landmark must hit its surface
MAX_SPREAD = 0.0045  # m; above, a landmark slides over the surface (the face's outline)


class NoFace(RuntimeError):
    """The detector finds no face in most renders of a rig."""


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
        NoFace: the detector finds no face in most of the renders.
    """
    views = list(_views(rig, texture))
    detections = detect_images(view.image for view in views)
    if detections.found.mean() < 0.5:
        raise NoFace(f"rig {rig.name}: a face in {detections.found.mean():.0%} of renders")
    faces = rig.faces.numpy()
    hit_faces, hit_weights = _cast(rig, views, detections.points)
    chosen = []
    for place, landmark in enumerate(LANDMARKS):
        hit = hit_faces[:, place] >= 0
        if hit.mean() >= MIN_SHARE:
            middle = _middle(
                hit_faces[hit, place], hit_weights[hit, place], rig.v_template.numpy(), faces
            )
            if middle[2] <= MAX_SPREAD:
                chosen.append((landmark, *middle))
    return Landmarks(
        ids=torch.tensor([landmark for landmark, *_ in chosen]),
        faces=torch.tensor([face for _, face, *_ in chosen]),
        barycentric=torch.from_numpy(np.stack([weights for *_, weights, _ in chosen])).float(),
        spread=torch.tensor([spread for *_, spread in chosen]),
        response=torch.zeros(len(chosen), 3, 1 + rig.num_shape + rig.num_expr + 9),
    )


def _cast(
    rig: HeadRig, views: list[View], points: Float[np.ndarray, "M 478 2"]
) -> tuple[Int[np.ndarray, "M L"], Float[np.ndarray, "M L 3"]]:
    """Faces (-1 for none) and barycentric coordinates under `LANDMARKS` in every view.

    Irises lie on the eyeballs, all else on the outer skin.
    """
    outer = (rig.masks["skin"] & ~rig.masks["inner_mouth"]).numpy()
    skin = outer[rig.faces.numpy()].all(1)
    ball = rig.masks["eyeballs"].numpy()[rig.faces.numpy()].all(1)
    count = len(LANDMARKS) - 2
    hits = [
        (
            _hits(view, found[LANDMARKS[:count]], skin),
            _hits(view, found[LANDMARKS[count:]], ball),
        )
        for view, found in zip(views, points, strict=True)
    ]
    faces = [np.concatenate([one[0], two[0]]) for one, two in hits]
    weights = [np.concatenate([one[1], two[1]]) for one, two in hits]
    return np.stack(faces), np.stack(weights)


def _views(rig: HeadRig, texture: UInt8[np.ndarray, "R R 3"]) -> Iterator[View]:
    """Renders of random identities: all directions, the expressions taking turns."""
    rng = np.random.default_rng(0)
    middle = head_middle(rig)
    directions = [(yaw, pitch) for yaw in YAWS for pitch in PITCHES]
    for turn in range(len(EXPRESSIONS)):
        for number, (yaw, pitch) in enumerate(directions):
            strengths = EXPRESSIONS[(number + turn) % len(EXPRESSIONS)]
            shape = torch.from_numpy(rng.normal(0, SHAPE_SPREAD, rig.num_shape)).float()
            expr = None
            if rig.principal_expr:
                expr = torch.from_numpy(rng.normal(0, EXPR_SPREAD, rig.num_expr)).float()
            yield render(rig, pose(rig, strengths, shape, expr) - middle, texture, yaw, pitch)


def head_middle(rig: HeadRig) -> Float[np.ndarray, "3"]:
    """What the cameras look at: the middle of the head's box, to the millimetre (m)."""
    head = rig.v_template[rig.masks["skin"] & ~rig.masks["neck"]].numpy()
    return ((head.min(0) + head.max(0)) / 2).round(3)


def pose(
    rig: HeadRig,
    strengths: dict[str, float],
    shape: Float[torch.Tensor, "S"],
    expr: Float[torch.Tensor, "E"] | None = None,
) -> Float[np.ndarray, "V 3"]:
    """Vertices (m) of a rig with ARKit's expressions, looking straight ahead.

    A rig with other expressions takes of them what is a rotation (the jaw's), and `expr`.
    """
    parameters = arkit.from_arkit(arkit.named(dict(strengths), 1)[0])
    if rig.principal_expr:
        parameters["expr"] = torch.zeros(rig.num_expr) if expr is None else expr
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
    uv = interpolate(rig.uv.numpy(), rig.uv_faces.numpy(), face_ids, barycentric)
    size = texture.shape[0]
    x, y = uv[..., 0] * size - 0.5, (1 - uv[..., 1]) * size - 0.5
    picked = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return picked.astype(np.float32)


def _hits(
    view: View, points: Float[np.ndarray, "L 2"], allowed: Bool[np.ndarray, "F"]
) -> tuple[Int[np.ndarray, "L"], Float[np.ndarray, "L 3"]]:
    """The allowed surface under each landmark, or the nearest one a few pixels away.

    Args:
        view: a render.
        points: pixels; NaN where nothing was found.
        allowed: faces on which these landmarks may lie.
    Returns:
        Face (-1 for none within `REACH`) and barycentric coordinates.
    """
    good = (view.face_ids >= 0) & allowed[view.face_ids] & (view.facing > MIN_COSINE)
    good = np.pad(good, REACH + 1)  # a frame that no landmark's window leaves
    near = np.arange(-REACH, REACH + 1)
    size = np.array(view.face_ids.shape[::-1])
    found = np.isfinite(points).all(1)
    centre = np.clip(np.where(found[:, None], points, 0), 0, size - 1).astype(int)
    columns, rows = (centre[:, None, None, axis] for axis in (0, 1))
    columns, rows = np.broadcast_arrays(columns + near, rows + near[:, None])
    distance = np.hypot(
        columns + 0.5 - points[:, 0, None, None], rows + 0.5 - points[:, 1, None, None]
    )
    distance[~good[rows + REACH + 1, columns + REACH + 1]] = np.inf
    distance = np.nan_to_num(distance.reshape(len(points), -1), nan=np.inf)
    best = distance.argmin(1)
    at = np.arange(len(points))
    hit = distance[at, best] <= REACH
    row = np.clip(rows.reshape(len(points), -1)[at, best], 0, size[1] - 1)
    column = np.clip(columns.reshape(len(points), -1)[at, best], 0, size[0] - 1)
    return np.where(hit, view.face_ids[row, column], -1), view.barycentric[row, column]


def _middle(
    hits: Int[np.ndarray, "N"],
    weights: Float[np.ndarray, "N 3"],
    template: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
) -> tuple[int, Float[np.ndarray, "3"], float]:
    """The hit nearest to the robust mean of all, and their spread about it (m, on the template).

    The mean is reweighted five times by Cauchy's weights at the median distance.
    """
    points = (template[faces[hits]] * weights[..., None]).sum(1)
    mean = np.median(points, 0)
    for _ in range(5):
        distance = np.linalg.norm(points - mean, axis=1)
        weight = 1 / (1 + (distance / max(float(np.median(distance)), 1e-6)) ** 2)
        mean = (points * weight[:, None]).sum(0) / weight.sum()
    distance = np.linalg.norm(points - mean, axis=1)
    best = int(distance.argmin())
    spread = float(np.sqrt((weight * distance**2).sum() / weight.sum()))
    return int(hits[best]), weights[best], spread
