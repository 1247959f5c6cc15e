"""The rig seen only where landmarks lie: linear bases, exact, small enough to solve with."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from avatar.rig import HeadRig
from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK, ROOT
from pipeline.track import rotations

HINGES = (JAW, EYE_L, EYE_R)


@dataclass(frozen=True)
class Hinge:
    """What one joint carries: the landmarks it touches and their bases about the joint."""

    rows: Int[np.ndarray, "R"]
    basis: Float[np.ndarray, "3 R K"]


class LandmarkModel:
    """Landmark positions in the head's own frame, and their derivatives.

    A landmark is a fixed combination of three vertices, each skinned to root, neck, jaw and
    eyes. With the neck at rest, root and neck are the head itself, and linear blend skinning
    sums up to

        h = B_0 k + sum_j exp(pose_j) B_j k,    k = (1, shape, expr, exp(pose) - 1),

    where the last 27 numbers drive the rig's pose blendshapes (if it has any), `B_j` holds the
    joint's share of the three vertices relative to the joint (which is linear in shape, too)
    and `B_0` the rest. This is `HeadRig.forward` without approximation, and the detector's
    response added to `B_0`: a landmark is where the detector puts it, not where it lies.

    Attributes:
        ids [L]: MediaPipe indices; spread [L] m; normals [L,3] on the template.
        rigid [3,L,K] and hinges: `B_0` and the `B_j`; root, neck [3,K]: joints, from `k`.
        pivot [3]: the point (rest frame, m) that a state's `centre` places and its rotation
            turns about: the mean landmark, which decouples the two.
    """

    ids: Int[np.ndarray, "L"]
    spread: Float[np.ndarray, "L"]
    normals: Float[np.ndarray, "L 3"]
    rigid: Float[np.ndarray, "3 L K"]
    hinges: list[Hinge]
    root: Float[np.ndarray, "3 K"]
    neck: Float[np.ndarray, "3 K"]
    pivot: Float[np.ndarray, "3"]

    def __init__(self, rig: HeadRig, keep: Bool[np.ndarray, "L0"] | None = None) -> None:
        """Reduce a rig to its embedded landmarks.

        Args:
            rig: with `landmarks`.
            keep: which of the embedded landmarks to use; all by default.
        """
        assert rig.landmarks is not None, "bake the landmark embedding first"
        chosen = np.flatnonzero(np.ones(len(rig.landmarks.ids), bool) if keep is None else keep)
        corners = _numpy(rig.faces)[_numpy(rig.landmarks.faces)[chosen]]
        barycentric = _numpy(rig.landmarks.barycentric)[chosen]
        self.ids = _numpy(rig.landmarks.ids)[chosen]
        self.spread = _numpy(rig.landmarks.spread)[chosen]
        self.num_shape, self.num_expr = rig.num_shape, rig.num_expr
        vertices, joints = _bases(rig, corners)
        weights = _numpy(rig.skin_weights)[corners]
        shares = np.einsum("lk,lkj->lkj", barycentric, weights)
        self.rigid = np.ascontiguousarray(
            np.einsum("lk,lkcp->clp", shares[..., :JAW].sum(-1), vertices)
        )
        self.hinges = []
        for joint in HINGES:
            total = shares[..., joint].sum(1)
            rows = np.flatnonzero(total > 1e-6)
            origin = total[rows, None] * joints[joint][:, None]
            basis = np.einsum("lk,lkcp->clp", shares[rows, :, joint], vertices[rows]) - origin
            self.rigid[:, rows] += origin
            self.hinges.append(Hinge(rows, np.ascontiguousarray(basis)))
        response = _numpy(rig.landmarks.response)[chosen].swapaxes(0, 1)
        self.rigid[..., : response.shape[2]] += response
        self.root, self.neck = joints[ROOT], joints[NECK]
        template = vertices[..., 0]
        edges = template[:, 1:] - template[:, :1]
        normals = np.cross(edges[:, 0], edges[:, 1])
        self.normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self.pivot = np.einsum("lk,lkc->lc", barycentric, template).mean(0)

    @property
    def num_landmarks(self) -> int:
        return len(self.ids)

    def points(
        self,
        shape: Float[np.ndarray, "S"],
        expr: Float[np.ndarray, "T E"],
        hinges: Float[np.ndarray, "T 9"],
    ) -> Float[np.ndarray, "T 3 L"]:
        """Landmarks (m) in the head's frame.

        Args:
            hinges: axis-angle (rad) of the jaw, left eye and right eye.
        """
        turns = rotations.exp(hinges.reshape(-1, 3, 3))
        k = coefficients(shape, expr, turns)
        points = _apply(self.rigid, k)
        for joint, hinge in enumerate(self.hinges):
            points[:, :, hinge.rows] += turns[:, joint] @ _apply(hinge.basis, k)
        return points

    def jacobian(
        self,
        shape: Float[np.ndarray, "S"],
        expr: Float[np.ndarray, "T E"],
        hinges: Float[np.ndarray, "T 9"],
        by_shape: bool = True,
    ) -> tuple[
        Float[np.ndarray, "T 3 L 9"],
        Float[np.ndarray, "T 3 L E"],
        Float[np.ndarray, "T 3 L S"] | None,
    ]:
        """Derivatives of `points` with respect to hinges, expression and, where asked, shape.

        In single precision: they steer the steps of a solve, not where it ends.
        """
        angles = hinges.reshape(-1, 3, 3)
        turns, axes = rotations.exp(angles), rotations.left_jacobian(angles)
        k = coefficients(shape, expr, turns)
        first = 1 + self.num_shape
        last = first + self.num_expr
        by_pose = self._by_basis(turns, slice(last, None)) @ _feature_jacobian(turns, axes)[:, None]
        for joint, hinge in enumerate(self.hinges):
            arm = np.swapaxes(turns[:, joint] @ _apply(hinge.basis, k), 1, 2)
            turning = -rotations.skew(arm) @ axes[:, None, joint]
            columns = slice(3 * joint, 3 * joint + 3)
            by_pose[:, :, hinge.rows, columns] += turning.transpose(0, 2, 1, 3)
        by_expr = self._by_basis(turns, slice(first, last))
        return by_pose, by_expr, self._by_basis(turns, slice(1, first)) if by_shape else None

    def _by_basis(
        self, turns: Float[np.ndarray, "T 3 3 3"], columns: slice
    ) -> Float[np.ndarray, "T 3 L D"]:
        """Derivatives with respect to some of the coefficients `k`."""
        rigid = self.rigid[..., columns].astype(np.float32)
        result = np.repeat(rigid[None], len(turns), axis=0)
        for joint, hinge in enumerate(self.hinges):
            basis = hinge.basis[..., columns].astype(np.float32)
            turned = turns[:, joint].astype(np.float32) @ basis.reshape(3, -1)
            result[:, :, hinge.rows] += turned.reshape(len(turns), *basis.shape)
        return result


def coefficients(
    shape: Float[np.ndarray, "S"],
    expr: Float[np.ndarray, "T E"],
    turns: Float[np.ndarray, "T 3 3 3"],
) -> Float[np.ndarray, "T K"]:
    """`k` of `LandmarkModel`; `turns` are the hinges' matrices."""
    count = len(expr)
    identity = np.broadcast_to(np.concatenate([[1.0], shape]), (count, 1 + len(shape)))
    return np.concatenate([identity, expr, (turns - np.eye(3)).reshape(count, 27)], 1)


def _feature_jacobian(
    turns: Float[np.ndarray, "T 3 3 3"], axes: Float[np.ndarray, "T 3 3 3"]
) -> Float[np.ndarray, "T 27 9"]:
    """Derivatives of the entries of the three hinges' matrices by their axis-angles."""
    derivative = np.zeros((len(turns), 3, 9, 3, 3))
    for joint in range(3):
        # d exp(a) = skew(J d) exp(a): one matrix for each of the three directions d.
        spins = rotations.skew(axes[:, joint].swapaxes(1, 2)) @ turns[:, None, joint]
        derivative[:, joint, :, joint] = spins.reshape(-1, 3, 9).swapaxes(1, 2)
    return derivative.reshape(-1, 27, 9).astype(np.float32)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    array = tensor.detach().cpu().numpy()
    return array.astype(np.float64) if tensor.is_floating_point() else array


def _bases(
    rig: HeadRig, corners: Int[np.ndarray, "L 3"]
) -> tuple[Float[np.ndarray, "L 3 3 K"], Float[np.ndarray, "5 3 K"]]:
    """Corner vertices and joints as matrices that take `k` to positions."""
    vertices = np.concatenate(
        [
            _numpy(rig.v_template)[corners][..., None],
            _numpy(rig.shapedirs)[corners],
            _numpy(rig.exprdirs)[corners],
            _pose_blendshapes(rig)[corners],
        ],
        -1,
    )
    joints = np.zeros((5, 3, vertices.shape[-1]))
    joints[..., 0] = _numpy(rig.joint_template)
    joints[..., 1 : 1 + rig.num_shape] = _numpy(rig.joint_shapedirs)
    if rig.joint_exprdirs is not None:
        first = 1 + rig.num_shape
        joints[..., first : first + rig.num_expr] = _numpy(rig.joint_exprdirs)
    return vertices, joints


def _pose_blendshapes(rig: HeadRig) -> Float[np.ndarray, "V 3 27"]:
    """Those of jaw and eyes: the first nine belong to the neck, which stays at rest."""
    if rig.posedirs is None:
        return np.zeros((rig.num_verts, 3, 27))
    return _numpy(rig.posedirs)[..., 9:]


def _apply(
    basis: Float[np.ndarray, "3 R K"], k: Float[np.ndarray, "T K"]
) -> Float[np.ndarray, "T 3 R"]:
    flat = k @ basis.reshape(-1, basis.shape[2]).T
    return flat.reshape(len(k), 3, -1)
