"""Independent reader of the GLB: the package `pygltflib`.

Morphing, joints and skinning are evaluated here from the file's own arrays, as glTF's specification
has them, and compared with the rig's vertices.
"""

import copy
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch
from scipy.spatial.transform import Rotation

from avatar.export.glb import JOINTS, save_glb, strongest
from avatar.export.orientation import TURNS
from avatar.rig import HeadRig, RigParams
from tests.scenes import TRAIN_STEPS, moving_params

STEPS = 6
KINDS = {5126: np.float32, 5125: np.uint32, 5121: np.uint8}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@pytest.fixture(scope="module")
def full_rig(rig: HeadRig) -> HeadRig:
    """With everything that glTF has no word for: pose correctives, joints that expressions move."""
    generator = torch.Generator().manual_seed(5)
    full = copy.deepcopy(rig)
    full.posedirs = torch.randn(rig.num_verts, 3, 36, generator=generator) * 0.002
    full.joint_exprdirs = torch.randn(5, 3, rig.num_expr, generator=generator) * 0.002
    return full


def _params(rig: HeadRig) -> RigParams:
    params = moving_params(rig, STEPS)
    params.shape[:] = torch.linspace(-1, 1, rig.num_shape)
    params.static_offset[:, 2] = 0.003
    params.rotation *= 5
    params.jaw_pose *= 4
    return params


class _Reader:
    """Evaluates what `pygltflib` reads."""

    def __init__(self, path: Path) -> None:
        self.file = pygltflib.GLTF2().load(path)
        self.blob = self.file.binary_blob()
        self.primitive = self.file.meshes[0].primitives[0]

    def array(self, accessor: int) -> np.ndarray:
        about = self.file.accessors[accessor]
        view = self.file.bufferViews[about.bufferView]
        data = self.blob[view.byteOffset : view.byteOffset + view.byteLength]
        return np.frombuffer(data, KINDS[about.componentType]).reshape(
            about.count, WIDTHS[about.type]
        )

    def pose(self, sequence: str | None, index: int) -> np.ndarray:
        """Vertices at a key frame of an animation, or while none plays."""
        nodes = {
            k: {"rotation": node.rotation, "translation": node.translation}
            for k, node in enumerate(self.file.nodes)
        }
        weights = self.file.meshes[0].weights
        for animation in self.file.animations:
            for channel in animation.channels if animation.name == sequence else ():
                values = self.array(animation.samplers[channel.sampler].output)
                if channel.target.path == "weights":
                    weights = values.reshape(-1, len(weights))[index]
                else:
                    nodes[channel.target.node][channel.target.path] = values[index]
        return self._skinned(nodes, np.asarray(weights))

    def _skinned(self, nodes: dict[int, dict], weights: np.ndarray) -> np.ndarray:
        attributes, skin = self.primitive.attributes, self.file.skins[0]
        verts = self.array(attributes.POSITION).astype(np.float64)
        for weight, target in zip(weights, self.primitive.targets, strict=True):
            verts = verts + weight * self.array(target["POSITION"])
        placed: dict[int, np.ndarray] = {}
        self._place(skin.skeleton, np.eye(4), nodes, placed)
        binds = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = np.stack([placed[joint] for joint in skin.joints]) @ binds
        shares = self.array(attributes.WEIGHTS_0)
        blended = np.einsum("vj,vjab->vab", shares, matrices[self.array(attributes.JOINTS_0)])
        return np.einsum("vab,vb->va", blended, np.pad(verts, ((0, 0), (0, 1)), constant_values=1))[
            :, :3
        ]

    def _place(
        self, node: int, parent: np.ndarray, nodes: dict[int, dict], placed: dict[int, np.ndarray]
    ) -> None:
        local = np.eye(4)
        local[:3, :3] = Rotation.from_quat(nodes[node]["rotation"]).as_matrix()
        local[:3, 3] = nodes[node]["translation"]
        placed[node] = parent @ local
        for child in self.file.nodes[node].children or ():
            self._place(child, placed[node], nodes, placed)


@pytest.mark.parametrize("up", TURNS)
@pytest.mark.parametrize("kind", ["rig", "full_rig"])
def test_the_animations_are_the_rig_in_motion(
    kind: str, up: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rig: HeadRig = request.getfixturevalue(kind)
    params = _params(rig)
    save_glb(tmp_path / "head.glb", rig, params, 2, up)
    reader = _Reader(tmp_path / "head.glb")
    assert [animation.name for animation in reader.file.animations] == ["a", "b"]
    params.soft_offset[:] = 0  # of which glTF has nothing
    posed = rig(**params.poses(torch.arange(STEPS))).numpy() @ np.array(TURNS[up]).T
    assert np.abs(posed - posed[:1]).max() > 0.01
    for timestep in range(STEPS):
        sequence = str(params.sequence[timestep])
        found = reader.pose(sequence, int(params.index[timestep]))
        assert np.abs(found - posed[timestep]).max() < 1e-6
    assert np.abs(reader.pose(None, 0) - posed[2]).max() < 1e-6
    faces = reader.array(reader.primitive.indices).reshape(-1, 3)
    assert np.array_equal(faces, rig.faces.numpy())


def test_names_times_and_targets(full_rig: HeadRig, tmp_path: Path) -> None:
    params = _params(full_rig)
    save_glb(tmp_path / "head.glb", full_rig, params, 0, "y")
    reader = _Reader(tmp_path / "head.glb")
    names = reader.file.meshes[0].extras["targetNames"]
    assert names[: full_rig.num_expr] == full_rig.expr_names
    assert names[full_rig.num_expr] == "pose_neck_00"
    assert len(names) == len(reader.primitive.targets) == full_rig.num_expr + 36
    assert [reader.file.nodes[joint].name for joint in reader.file.skins[0].joints] == list(JOINTS)
    smile = reader.array(reader.primitive.targets[0]["POSITION"])
    assert np.array_equal(smile, full_rig.exprdirs[:, :, 0].numpy())
    clock = reader.array(reader.file.animations[0].samplers[0].input)[:, 0]
    assert np.allclose(clock, params.time[:TRAIN_STEPS])


def test_four_joints_at_most_by_hand() -> None:
    joints, weights = strongest(np.array([[0, 1, 0, 0, 0], [0.4, 0.3, 0.1, 0.05, 0.15]]))
    assert joints.tolist() == [[1, 0, 0, 0], [0, 1, 4, 2]]
    assert np.allclose(weights, [[1, 0, 0, 0], np.array([0.4, 0.3, 0.15, 0.1]) / 0.95])
