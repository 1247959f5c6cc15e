"""A small head-like rig for tests: an ellipsoid with two eyeballs, all joints, all masks.

Fast to build, and every number of it can be worked out by hand.
"""

import copy
from dataclasses import replace

import numpy as np
import torch

from avatar.rig import HeadRig, Landmarks

HEAD_RADII = (0.08, 0.11, 0.09)  # m
EYE_RADIUS = 0.016  # m
EYE_CENTRES = ((0.032, 0.02, 0.07), (-0.032, 0.02, 0.07))  # left, right, m
NECK = (0.0, -0.09, -0.02)
JAW = (0.0, -0.02, 0.0)
EXPR_NAMES = ["smileLeft", "smileRight", "browInnerUp", "mouthPucker"]


def uv_sphere(rings: int, segments: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A closed unit sphere: vertices [V,3], outward faces [F,3], uv [V,2]; poles on y."""
    polar = np.linspace(0, np.pi, rings + 2)[1:-1]
    around = np.arange(segments) * 2 * np.pi / segments
    theta, phi = (grid.ravel() for grid in np.meshgrid(polar, around, indexing="ij"))
    ring = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], 1)
    verts = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]])
    uv = np.stack([phi / (2 * np.pi), 1 - theta / np.pi], 1)
    uv = np.concatenate([uv, [[0.5, 1.0], [0.5, 0.0]]])
    top, bottom = len(ring), len(ring) + 1
    faces = []
    for s in range(segments):
        n = (s + 1) % segments
        faces.append((top, s, n))
        for r in range(rings - 1):
            a, b = r * segments + s, r * segments + n
            faces += [(a, a + segments, b), (b, a + segments, b + segments)]
        faces.append((bottom, (rings - 1) * segments + n, (rings - 1) * segments + s))
    return verts, np.array(faces), uv


def toy_rig(dtype: torch.dtype = torch.float32) -> HeadRig:
    """294 vertices, 576 faces, S=3 (scale x, y, z), E=4, five joints, all masks, 42 landmarks.

    Shape coefficient i stretches axis i by 5 % of itself; joints follow. Expressions are smooth
    bumps of 5 mm in the face. The jaw moves the lower front of the head, the eye joints move
    the eyeballs rigidly, the neck joint moves everything above `NECK`'s height.
    """
    sphere, sphere_faces, sphere_uv = uv_sphere(12, 16)
    ball, ball_faces, ball_uv = uv_sphere(6, 8)
    skin, eye = len(sphere), len(ball)
    balls = [ball * EYE_RADIUS + centre for centre in EYE_CENTRES]
    verts = np.concatenate([sphere * HEAD_RADII, *balls])
    faces = np.concatenate([sphere_faces, ball_faces + skin, ball_faces + skin + eye])
    uv = np.concatenate([sphere_uv, ball_uv, ball_uv])
    part = np.repeat([0, 1, 2], [skin, eye, eye])  # skin, left eye, right eye

    def bump(centre: tuple[float, float, float], width: float = 0.025) -> np.ndarray:
        near = np.exp(-(((verts - centre) / width) ** 2).sum(1))
        return np.where(part == 0, near, 0.0)

    directions = np.array([[1, 1, 0], [-1, 1, 0], [0, 1, 0], [0, 0, 1]]) / np.sqrt(
        [[2], [2], [1], [1]]
    )
    centres = [(0.03, -0.05, 0.07), (-0.03, -0.05, 0.07), (0, 0.05, 0.08), (0, -0.05, 0.08)]
    exprdirs = np.stack(
        [0.005 * bump(c)[:, None] * d for c, d in zip(centres, directions, strict=True)], 2
    )
    joints = np.array([(0, 0, 0), NECK, JAW, *EYE_CENTRES])

    def stretch(points: np.ndarray) -> np.ndarray:
        return 0.05 * points[:, :, None] * np.eye(3)

    return HeadRig(
        "toy",
        {
            "v_template": torch.tensor(verts, dtype=dtype),
            "shapedirs": torch.tensor(stretch(verts), dtype=dtype),
            "exprdirs": torch.tensor(exprdirs, dtype=dtype),
            "joint_template": torch.tensor(joints, dtype=dtype),
            "joint_shapedirs": torch.tensor(stretch(joints), dtype=dtype),
            "parents": torch.tensor([-1, 0, 1, 1, 1]),
            "skin_weights": torch.tensor(_weights(verts, part), dtype=dtype),
            "faces": torch.tensor(faces),
            "uv": torch.tensor(uv, dtype=dtype),
            "uv_faces": torch.tensor(faces),
        },
        EXPR_NAMES,
        _masks(verts, part),
        _landmarks(verts, faces, part, dtype),
    )


def _weights(verts: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Root below the neck joint, jaw at the lower front, one eye joint per ball, else neck."""
    weights = np.zeros((len(verts), 5))
    root = np.clip((NECK[1] - verts[:, 1]) / 0.01, 0, 1)
    jaw = np.clip((-0.03 - verts[:, 1]) / 0.02, 0, 1) * np.clip(verts[:, 2] / 0.02, 0, 1)
    weights[:, 0] = root
    weights[:, 2] = jaw * (1 - root)
    weights[:, 1] = 1 - weights[:, 0] - weights[:, 2]
    for side in (1, 2):
        weights[part == side] = np.eye(5)[2 + side]
    return weights


def _masks(verts: np.ndarray, part: np.ndarray) -> dict[str, torch.Tensor]:
    x, y, z = verts.T
    skin = part == 0
    near_eye = sum(((verts - c) ** 2).sum(1) < 0.035**2 for c in EYE_CENTRES) > 0
    masks = {
        "skin": skin,
        "eyeballs": ~skin,
        "eyes": near_eye,
        "face": (z > 0.02) & (y < 0.07) & (y > -0.09),
        "mouth": skin & (z > 0.04) & (y < -0.025) & (y > -0.08) & (abs(x) < 0.045),
        "neck": skin & (y < -0.09),
        "scalp": skin & ((y > 0.07) | ((z < -0.02) & (y > -0.04))),
    }
    return {name: torch.tensor(mask) for name, mask in masks.items()}


def _landmarks(
    verts: np.ndarray, faces: np.ndarray, part: np.ndarray, dtype: torch.dtype
) -> Landmarks:
    """40 faces of the front of the skin, ids 0..39, and the front of either eyeball."""
    centroid = verts[faces].mean(1)
    front = np.flatnonzero((part[faces[:, 0]] == 0) & (centroid[:, 2] > 0.04))
    picked = front[np.linspace(0, len(front) - 1, 40).astype(int)]
    irises = [
        int(np.where(part[faces[:, 0]] == side, centroid[:, 2], -1).argmax()) for side in (2, 1)
    ]  # MediaPipe's 468 is the subject's right iris, 473 the left
    return Landmarks(
        ids=torch.tensor([*range(40), 468, 473]),
        faces=torch.tensor([*picked, *irises]),
        barycentric=torch.full((42, 3), 1 / 3, dtype=dtype),
        spread=torch.full((42,), 0.002, dtype=dtype),
        response=torch.zeros((42, 3, 1 + 3 + len(EXPR_NAMES) + 9), dtype=dtype),
    )


def without_response(rig: HeadRig) -> HeadRig:
    """A copy whose landmarks are where they lie: seen by a detector without a systematic error."""
    other = copy.copy(rig)
    assert rig.landmarks is not None
    nothing = torch.zeros_like(rig.landmarks.response)
    other.landmarks = replace(rig.landmarks, response=nothing)
    return other
