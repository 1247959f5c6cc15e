"""The rig seen only where landmarks lie: linear bases, exact, small enough to solve with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from avatar.rig import HeadRig
from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK, ROOT
from pipeline.track.solve import kernels, rotations

HINGES = (JAW, EYE_L, EYE_R)


class Basis:
    """Positions of R points as `B k`, where `(1, shape)` of `k` seldom changes."""

    def __init__(self, matrix: Float[np.ndarray, "3 R K"], num_shape: int) -> None:
        """Take `B` apart."""
        flat = matrix.reshape(-1, matrix.shape[2])
        self._still = np.ascontiguousarray(flat[:, : 1 + num_shape])
        self._moving = np.ascontiguousarray(flat[:, 1 + num_shape :].T)
        self._latest = np.zeros(num_shape), self._still[:, 0]

    def __call__(
        self, shape: Float[np.ndarray, "S"], moving: Float[np.ndarray, "T M"]
    ) -> Float[np.ndarray, "T 3 R"]:
        """Positions, metres.

        Args:
            moving: what `k` holds beyond the shape.
        """
        known, rest = self._latest
        if not np.array_equal(known, shape):
            rest = self._still @ np.concatenate([[1.0], shape])
            self._latest = shape.copy(), rest
        return (moving @ self._moving + rest).reshape(len(moving), 3, -1)


@dataclass(frozen=True)
class Hinge:
    """What one joint carries: the landmarks it touches and where they are from the joint."""

    rows: Int[np.ndarray, "R"]
    basis: Basis


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
        rigid and hinges: `B_0` and the `B_j`; bases: both as `kernels.pull_back` takes them;
            root, neck [3,K]: joints, from `k`.
        pivot [3]: the point (rest frame, m) that a state's `centre` places and its rotation
            turns about: the mean landmark, which decouples the two.
    """

    ids: Int[np.ndarray, "L"]
    spread: Float[np.ndarray, "L"]
    normals: Float[np.ndarray, "L 3"]
    rigid: Basis
    hinges: list[Hinge]
    bases: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], Int[np.ndarray, "L 3"]]
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
        rigid = np.einsum("lk,lkcp->clp", shares[..., :JAW].sum(-1), vertices)
        rows, hinged = [], []
        for joint in HINGES:
            total = shares[..., joint].sum(1)
            rows.append(np.flatnonzero(total > 1e-6))
            origin = total[rows[-1], None] * joints[joint][:, None]
            carried = np.einsum("lk,lkcp->clp", shares[rows[-1], :, joint], vertices[rows[-1]])
            hinged.append(carried - origin)
            rigid[:, rows[-1]] += origin
        response = _numpy(rig.landmarks.response)[chosen].swapaxes(0, 1)
        rigid[..., : response.shape[2]] += response
        self._keep(rigid, rows, hinged)
        self.root, self.neck = joints[ROOT], joints[NECK]
        template = vertices[..., 0]
        edges = template[:, 1:] - template[:, :1]
        normals = np.cross(edges[:, 0], edges[:, 1])
        self.normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self.pivot = np.einsum("lk,lkc->lc", barycentric, template).mean(0)

    def _keep(
        self,
        rigid: Float[np.ndarray, "3 L K"],
        rows: list[Int[np.ndarray, "_"]],
        hinged: list[Float[np.ndarray, "3 _ K"]],
    ) -> None:
        """Set the bases up, without pose blendshapes that move none of the points."""
        first = 1 + self.num_shape
        last = first + self.num_expr
        moves = np.any([basis.any((0, 1)) for basis in (rigid, *hinged)], 0)
        self._kept = max(last, int(np.flatnonzero(moves).max()) + 1)

        def by_factor(basis: Float[np.ndarray, "3 N K"]) -> tuple[np.ndarray, ...]:
            kept = basis[..., : self._kept].swapaxes(0, 1).astype(np.float32)
            parts = np.split(kept, [1, first, last], 2)
            _, shape, expr, entries = (np.ascontiguousarray(part) for part in parts)
            return expr, shape, entries

        self.rigid, *carried = (
            Basis(basis[..., : self._kept], self.num_shape) for basis in (rigid, *hinged)
        )
        self.hinges = [Hinge(*hinge) for hinge in zip(rows, carried, strict=True)]
        places, used = np.full((len(self.ids), len(rows)), -1), 0
        for joint, touched in enumerate(rows):
            places[touched, joint] = used + np.arange(len(touched))
            used += len(touched)
        self.bases = by_factor(rigid), by_factor(np.concatenate(hinged, 1)), places

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
        points = self.rigid(shape, self._moving(turns, expr))
        for hinge, carried in zip(self.hinges, self._carried(turns, shape, expr), strict=True):
            points[:, :, hinge.rows] += carried
        return points

    def pull_back(
        self,
        information: Float[np.ndarray, "T L 4 4"],
        pull: Float[np.ndarray, "T L 4"],
        arms: Float[np.ndarray, "T L 3"],
        rotation: Float[np.ndarray, "T 3 3"],
        shape: Float[np.ndarray, "S"],
        expr: Float[np.ndarray, "T E"],
        hinges: Float[np.ndarray, "T 9"],
        columns: int,
    ) -> Iterator[tuple[Float[np.ndarray, "R columns"], Float[np.ndarray, "R"]]]:
        """What points know, by the unknowns: rows A and residuals r of every timestep.

        `A^T A` is Gauss-Newton's Hessian, `A^T r` the gradient, by the head's turn (3), its
        place (3), hinges (9), expression (E), shape (S) and the zoom's logarithm. In single
        precision: they steer the steps of a solve, not where it ends. Both are overwritten
        when the next are asked for.

        Args:
            information, pull: `J^T w J` and `J^T w r` of the pixels by the point (head's frame)
                and by the zoom.
            arms: points from the pivot, in the head's frame; rotation: of the head.
            columns: how many of the unknowns are wanted: `sums.HINGE`, `sums.EXPR` + E, or all.
        """
        angles = hinges.reshape(-1, 3, 3)
        turns, axes = rotations.exp(angles), rotations.left_jacobian(angles)
        features = _entries_jacobian(turns, axes)
        carried = np.concatenate(self._carried(turns, shape, expr), 2).swapaxes(1, 2)
        rows = np.empty((4 * self.num_landmarks, columns), np.float32)
        right = np.empty(len(rows), np.float32)
        for t in range(len(expr)):
            pose = arms[t], rotation[t], carried[t], turns[t], axes[t], features[t]
            count = kernels.pull_back(
                information[t], pull[t], pose, self.bases, columns, rows, right
            )
            yield rows[:count], right[:count]

    def _carried(
        self,
        turns: Float[np.ndarray, "T 3 3 3"],
        shape: Float[np.ndarray, "S"],
        expr: Float[np.ndarray, "T E"],
    ) -> list[Float[np.ndarray, "T 3 R"]]:
        """What each hinge carries, from its joint, in the head's frame."""
        moving = self._moving(turns, expr)
        return [
            turns[:, joint] @ hinge.basis(shape, moving) for joint, hinge in enumerate(self.hinges)
        ]

    def _moving(
        self, turns: Float[np.ndarray, "T 3 3 3"], expr: Float[np.ndarray, "T E"]
    ) -> Float[np.ndarray, "T M"]:
        """What of `k` differs from timestep to timestep, as far as it moves anything."""
        moving = np.concatenate([expr, _entries(turns)], 1)
        return moving[:, : self._kept - 1 - self.num_shape]


def coefficients(
    shape: Float[np.ndarray, "S"],
    expr: Float[np.ndarray, "T E"],
    turns: Float[np.ndarray, "T 3 3 3"],
) -> Float[np.ndarray, "T K"]:
    """`k` of `LandmarkModel`; `turns` are the hinges' matrices."""
    count = len(expr)
    identity = np.broadcast_to(np.concatenate([[1.0], shape]), (count, 1 + len(shape)))
    return np.concatenate([identity, expr, _entries(turns)], 1)


def _entries(turns: Float[np.ndarray, "T 3 3 3"]) -> Float[np.ndarray, "T 27"]:
    """What drives the pose blendshapes."""
    return (turns - np.eye(3)).reshape(len(turns), 27)


def _entries_jacobian(
    turns: Float[np.ndarray, "T 3 3 3"], axes: Float[np.ndarray, "T 3 3 3"]
) -> Float[np.ndarray, "T 9 27"]:
    """Derivatives of the entries of the three hinges' matrices by their axis-angles."""
    derivative = np.zeros((len(turns), 3, 3, 3, 9))
    for joint in range(3):
        # d exp(a) = skew(J d) exp(a): one matrix for each of the three directions d.
        spins = rotations.skew(axes[:, joint].swapaxes(1, 2)) @ turns[:, None, joint]
        derivative[:, joint, :, joint] = spins.reshape(-1, 3, 9)
    return derivative.reshape(-1, 9, 27).astype(np.float32)


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
