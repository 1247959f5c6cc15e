"""A file with FLAME's array names and shapes, made from open data: MakeHuman's head cut to fit.

5023 vertices and 9976 faces like the real one: 3931 and 7800 of skin that is open at the neck
and between the lips, and two closed eyeballs of 546 and 1088. Directions and regressor are
random but sane. Nothing of FLAME is in it.
"""

import pickle
import sys
import types
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csc_matrix
from scipy.spatial.transform import Rotation

from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK, ROOT
from pipeline.rigs.anny import bake as anny_bake
from pipeline.rigs.anny.head import load_head
from pipeline.rigs.flame.teeth import boundary_loops
from tests.rigs import uv_sphere

SKIN, BALL = 3931, 546
NECK_CUT = 0.60  # m, MakeHuman's frame
EYE_RADIUS = 0.0165  # m


@lru_cache(maxsize=1)
def flame_arrays() -> dict[str, np.ndarray]:
    """The arrays of a FLAME file; do not change them."""
    head = load_head()
    outer = (head.part == 0) & ~head.masks["inner_mouth"] & (head.verts[:, 1] > NECK_CUT)
    faces = head.faces[outer[head.faces].all(1)]
    kept, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    verts, weights = head.verts[kept], _weights(head)[kept]
    verts, faces, weights = _to_size(verts, faces, weights)
    joints = head.joints(head.base.verts)
    ball, ball_faces, _ = uv_sphere(17, 32)
    ball, ball_faces = ball[:, [0, 2, 1]] * (1, -1, 1), ball_faces  # poles on z
    for joint in (EYE_L, EYE_R):
        faces = np.concatenate([faces, ball_faces + len(verts)])
        verts = np.concatenate([verts, ball * EYE_RADIUS + joints[joint]])
        weights = np.concatenate([weights, np.tile(np.eye(5)[joint], (BALL, 1))])
    origin = joints[[EYE_L, EYE_R]].mean(0) - (0, 0.02, 0.03)  # as FLAME's, near the ears
    verts, joints = verts - origin, joints - origin
    rng = np.random.default_rng(5)
    directions = 0.002 * _smooth(verts, rng, 400) / np.sqrt(1 + np.arange(400) / 4)
    # Expressions move the front of the face; each eyeball moves as a whole.
    front = np.exp(-(((verts - (0, -0.05, 0.05)) / 0.05) ** 2).sum(1))
    directions[:, :, 300:] *= 0.5 * front[:, None, None]
    for first in (SKIN, SKIN + BALL):
        directions[first : first + BALL] = directions[first : first + BALL].mean(0)
    return {
        "v_template": verts,
        "f": faces.astype(np.uint32),
        "shapedirs": directions,
        "posedirs": 1e-4 * _smooth(verts, rng, 36),
        "J_regressor": _regressor(verts, joints),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
    }


def vertices(
    shape: np.ndarray,
    expr: np.ndarray,
    rotation: np.ndarray,
    neck_pose: np.ndarray,
    jaw_pose: np.ndarray,
    eyes_pose: np.ndarray,
    static_offset: np.ndarray | float = 0.0,
) -> np.ndarray:
    """The model of these arrays in float64, joint by joint (Li et al. 2017, eq. 2-5), untranslated.

    Joints are regressed from the whole face, static offsets included.
    """
    arrays = flame_arrays()
    turns = Rotation.from_rotvec(
        np.stack([rotation, neck_pose, jaw_pose, *eyes_pose.reshape(2, 3)])
    ).as_matrix()
    face = arrays["v_template"] + arrays["shapedirs"] @ np.append(shape, expr) + static_offset
    joints = arrays["J_regressor"] @ face
    verts = face + arrays["posedirs"] @ (turns[1:] - np.eye(3)).ravel()
    world: list[np.ndarray] = []
    posed = np.zeros_like(verts)
    for joint, parent in enumerate([-1, 0, 1, 1, 1]):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = turns[joint], joints[joint]
        if parent >= 0:
            local[:3, 3] -= joints[parent]
        world.append(local if parent < 0 else world[parent] @ local)
        moved = (verts - joints[joint]) @ world[-1][:3, :3].T + world[-1][:3, 3]
        posed += arrays["weights"][:, [joint]] * moved
    return posed


def save_npz(path: Path, **changed: np.ndarray) -> Path:
    """The arrays as an npz file, some of them changed."""
    np.savez(path, **{**flame_arrays(), **changed})
    return path


def save_pickle(path: Path, protocol: int = 2, **changed: object) -> Path:
    """As the makers have it: chumpy's wrappers about arrays, a sparse regressor, protocol 2."""
    arrays = {**flame_arrays(), **changed}
    chumpy = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch")}

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    chumpy["chumpy.ch"].Ch = Ch  # type: ignore[attr-defined]
    wrapped = ("v_template", "shapedirs")
    content = {
        name: Ch(value) if name in wrapped and isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }
    content["J_regressor"] = csc_matrix(arrays["J_regressor"])
    content["bs_style"] = "lbs"
    sys.modules.update(chumpy)
    try:
        path.write_bytes(pickle.dumps(content, protocol))
    finally:
        for name in chumpy:
            del sys.modules[name]
    return path


def _weights(head) -> np.ndarray:
    return anny_bake._skin_weights(head, head.base.action("jawOpen")[head.index])


def _to_size(verts: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> tuple:
    """Close corners of the neck's edge and split faces until the counts are FLAME's skin's."""
    surplus = 7800 - 2 * SKIN - (len(faces) - 2 * len(verts))
    neck = min(boundary_loops(faces, len(verts)), key=lambda loop: verts[loop, 1].mean())
    corners = [neck[[i - 1, i, i + 1]] for i in range(1, 2 * surplus, 2)]
    # The new triangle runs along either edge against the face that has it.
    directed = {tuple(edge) for face in faces for edge in zip(face, np.roll(face, -1), strict=True)}
    ears = [c[::-1] if (c[0], c[1]) in directed else c for c in corners]
    faces = np.concatenate([faces, ears])
    split = np.arange(SKIN - len(verts)) * 7  # spread over the list
    added = len(verts) + np.arange(len(split))
    a, b, c = faces[split].T
    verts = np.concatenate([verts, verts[faces[split]].mean(1)])
    weights = np.concatenate([weights, weights[faces[split]].mean(1)])
    new = [np.stack(t, 1) for t in ((a, b, added), (b, c, added), (c, a, added))]
    faces = np.concatenate([np.delete(faces, split, 0), *new])
    assert len(verts) == SKIN
    assert len(faces) == 7800
    return verts, faces, weights


def _smooth(verts: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Random fields [V,3,count] of deviation about 1 that vary over some 6 cm."""
    waves = rng.normal(0, 1 / 0.06, (3, count, 3))
    phase = rng.uniform(0, 2 * np.pi, (count, 3))
    angle = np.einsum("vx,xnc->vcn", verts, waves) + phase.T
    return np.sqrt(2) * np.sin(angle)


def _regressor(verts: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The smallest shares that give each joint, of its eyeball's vertices or the skin's."""
    regressor = np.zeros((5, len(verts)))
    groups = {EYE_L: slice(SKIN, SKIN + BALL), EYE_R: slice(SKIN + BALL, None)}
    for joint in (ROOT, NECK, JAW, EYE_L, EYE_R):
        part = groups.get(joint, slice(0, SKIN))
        system = np.concatenate([verts[part].T, np.ones((1, len(verts[part])))])
        regressor[joint, part] = np.linalg.pinv(system) @ [*joints[joint], 1.0]
    return regressor
