"""The avatar's mesh as glTF: expressions as morph targets, five joints, the recorded motion.

glTF skins a mesh as `sum of w_j G_j B_j (v + sum of m_k target_k)`. The rest mesh has the subject's
shape; targets are the rig's expressions, named as in the rig, and, where the rig has them, the 36
pose correctives, whose weights are the entries of each joint's rotation less the identity. `B_j`
takes the joint's rest place to the origin, and `G_j` is chosen so that `G_j B_j` is the rig's own
transform: also where expressions move joints and where the neck shifts. The animations therefore
follow the rig exactly but for `soft_offset`, which has no targets; only who moves joints by hand
must set the correctives too, or omit them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar.export.gltf import ATTRIBUTES, INDICES, Document
from avatar.export.orientation import rotation_to
from avatar.rig import HeadRig, RigParams
from avatar.rig.rotations import axis_angle_to_matrix, matrix_to_quat

JOINTS = ("root", "neck", "jaw", "eye_left", "eye_right")
_PER_VERTEX = 4  # joints that glTF's first set of weights has room for
_CORRECTIVES = [f"pose_{name}_{i}{j}" for name in JOINTS[1:] for i in range(3) for j in range(3)]


def save_glb(path: Path, rig: HeadRig, params: RigParams, timestep: int, up: str) -> None:
    """Write the mesh with an animation for each sequence, atomically.

    Args:
        timestep: pose and expression of the mesh while no animation plays.
        up: the axis that is up, a key of `orientation.TURNS`; glTF's is y.
    """
    turns, places = joint_nodes(rig, params, up)
    quats = matrix_to_quat(turns).roll(-1, dims=-1)  # xyzw
    weights = morph_weights(rig, params)
    document = Document()
    mesh = _add_mesh(document, rig, params, weights[timestep])
    nodes = [
        {"name": name, "rotation": q.tolist(), "translation": place.tolist()}
        for name, q, place in zip(JOINTS, quats[timestep], places[timestep], strict=True)
    ]
    for parent in range(len(JOINTS)):
        if children := [k + 1 for k, of in enumerate(rig.parents.tolist()) if of == parent]:
            nodes[parent]["children"] = children
    skin = _add_skin(document, rig, params)
    document.add("nodes", {"name": "head", "mesh": mesh, "skin": skin})
    for node in nodes:
        document.add("nodes", node)
    document.add("scenes", {"nodes": [0, 1]})
    for name in sorted(set(params.sequence.tolist())):
        rows = np.flatnonzero(params.sequence == name)
        _add_animation(
            document, str(name), params.time[rows], quats[rows], places[rows], weights[rows]
        )
    document.save(path)


def joint_nodes(
    rig: HeadRig, params: RigParams, up: str
) -> tuple[Float[Tensor, "T 5 3 3"], Float[Tensor, "T 5 3"]]:
    """Rotation and place (m) of every joint's node in its parent's, at all timesteps."""
    eyes = params.eyes_pose
    poses = [params.rotation, params.neck_pose, params.jaw_pose, eyes[:, :3], eyes[:, 3:]]
    local = axis_angle_to_matrix(torch.stack(poses, 1))
    joints = rig.joints(params.shape, params.expr)
    turns, shifts = rig.joint_transforms(local, joints, params.neck_shift)
    rest = rig.joints(params.shape)[..., None]
    places = (turns @ rest).squeeze(-1) + shifts + params.translation[:, None]
    axes = rotation_to(up)
    turns, places = axes @ turns, places @ axes.mT
    local_turns, local_places = [turns[:, 0]], [places[:, 0]]
    for joint, parent in list(enumerate(rig.parents.tolist()))[1:]:
        back = turns[:, parent].mT
        local_turns.append(back @ turns[:, joint])
        away = places[:, joint] - places[:, parent]
        local_places.append((back @ away[..., None]).squeeze(-1))
    return torch.stack(local_turns, 1), torch.stack(local_places, 1)


def morph_weights(rig: HeadRig, params: RigParams) -> Float[Tensor, "T M"]:
    """Weights of all targets at all timesteps: expressions, then pose correctives."""
    if rig.posedirs is None:
        return params.expr
    poses = torch.stack([params.neck_pose, params.jaw_pose, *params.eyes_pose.split(3, 1)], 1)
    feature = axis_angle_to_matrix(poses) - torch.eye(3)
    return torch.cat([params.expr, feature.flatten(1)], 1)


def strongest(
    skin_weights: Float[np.ndarray, "V 5"],
) -> tuple[np.ndarray, Float[np.ndarray, "V 4"]]:
    """The joints [V,4] (uint8) with the largest weights at each vertex, and those weights."""
    joints = np.argsort(-skin_weights, axis=1, kind="stable")[:, :_PER_VERTEX]
    weights = np.take_along_axis(skin_weights, joints, 1)
    weights = weights / weights.sum(1, keepdims=True)
    return np.where(weights > 0, joints, 0).astype(np.uint8), weights.astype(np.float32)


def _add_mesh(
    document: Document, rig: HeadRig, params: RigParams, weights: Float[Tensor, "M"]
) -> int:
    rest = rig.rest(params.shape, torch.zeros(rig.num_expr), params.static_offset)
    targets, names = rig.exprdirs, list(rig.expr_names)
    if rig.posedirs is not None:
        targets, names = torch.cat([targets, rig.posedirs], 2), names + _CORRECTIVES
    joints, shares = strongest(rig.skin_weights.numpy())
    attributes = {
        "POSITION": document.add_array(rest.numpy(), ATTRIBUTES, bounds=True),
        "JOINTS_0": document.add_array(joints, ATTRIBUTES),
        "WEIGHTS_0": document.add_array(shares, ATTRIBUTES),
    }
    primitive = {
        "attributes": attributes,
        "indices": document.add_array(rig.faces.flatten().numpy().astype(np.uint32), INDICES),
        "targets": [
            {"POSITION": document.add_array(target.numpy(), ATTRIBUTES, bounds=True)}
            for target in targets.permute(2, 0, 1)
        ],
    }
    extras = {"targetNames": names}  # where viewers look for names
    mesh = {"primitives": [primitive], "weights": weights.tolist(), "extras": extras}
    return document.add("meshes", mesh)


def _add_skin(document: Document, rig: HeadRig, params: RigParams) -> int:
    back = np.tile(np.eye(4, dtype=np.float32), (len(JOINTS), 1, 1))
    back[:, 3, :3] = -rig.joints(params.shape).numpy()  # columns first
    nodes = list(range(1, len(JOINTS) + 1))
    skin = {"joints": nodes, "skeleton": 1, "inverseBindMatrices": document.add_array(back)}
    return document.add("skins", skin)


def _add_animation(
    document: Document,
    name: str,
    time: Float[np.ndarray, "T"],
    quats: Float[Tensor, "T 5 4"],
    places: Float[Tensor, "T 5 3"],
    weights: Float[Tensor, "T M"],
) -> None:
    clock = document.add_array(time.astype(np.float32), bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def channel(node: int, path: str, values: Tensor) -> None:
        output = document.add_array(values.numpy().astype(np.float32))
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
        samplers.append({"input": clock, "output": output, "interpolation": "LINEAR"})

    channel(0, "weights", weights.flatten())
    for joint in range(len(JOINTS)):
        channel(joint + 1, "rotation", quats[:, joint])
        channel(joint + 1, "translation", places[:, joint])
    document.add("animations", {"name": name, "samplers": samplers, "channels": channels})
