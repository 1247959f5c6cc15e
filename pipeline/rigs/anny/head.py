"""A head out of MakeHuman's base mesh: which vertices, which masks, which joints."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.rigs.anny import source

PARTS = (
    source.SKIN, source.EYE_L, source.EYE_R, source.TONGUE, source.TEETH_UPPER,
    source.TEETH_LOWER,
)  # fmt: skip
JOINT_BONES = ("neck01", "neck02", "jaw", "eye.L", "eye.R")  # root, neck, jaw, eyes

# The bust ends where the arms and the chest begin: |x| and y in the base mesh, metres.
BUST_HALF_WIDTH, BUST_BOTTOM = 0.225, 0.45
# Hair grows above a line from the nape over the ears and temples to the forehead: z -> y,
# metres in the base mesh.
HAIRLINE = (
    (-0.060, -0.020, 0.005, 0.018, 0.028, 0.056, 0.061, 0.071, 0.078, 0.095, 0.120, 0.140),
    (0.655, 0.668, 0.690, 0.722, 0.738, 0.738, 0.714, 0.718, 0.762, 0.784, 0.798, 0.804),
)
EAR_TARGET, EAR_MOVES = "ears/{}-ear-trans-up", 0.019  # m; all of an ear, and little else


@dataclass(frozen=True)
class HeadMesh:
    """The head's share of the base mesh, triangulated.

    Attributes:
        base: where it comes from.
        index: the base mesh's vertices that are kept, ascending.
        faces: triangles, in kept vertices, counter-clockwise from outside.
        uv, uv_faces: texture coordinates, 0..1, and the triangles' corners in them.
        part: for each kept vertex its place in `PARTS`.
    """

    base: source.BaseMesh
    index: Int[np.ndarray, "V"]
    faces: Int[np.ndarray, "F 3"]
    uv: Float[np.ndarray, "U 2"]
    uv_faces: Int[np.ndarray, "F 3"]
    part: Int[np.ndarray, "V"]

    @cached_property
    def verts(self) -> Float[np.ndarray, "V 3"]:
        """Rest positions in the base mesh's frame (m)."""
        return self.base.verts[self.index]

    @cached_property
    def masks(self) -> dict[str, Bool[np.ndarray, "V"]]:
        """Regions of the surface; `face`, `mouth` and `scalp` hold outer skin only."""
        x, y, z = self.verts.T
        skin = self.part == 0
        of_head = self.bone_share("neck03") - 0.5 * self.bone_share("neck03", alone=True) >= 0.5
        inside = self._inside_mouth()
        outer = skin & of_head & ~inside
        ears = outer & self._moved(EAR_TARGET.format("l"), EAR_TARGET.format("r"))
        scalp = outer & ~ears & (self.hairline > 0)
        eyes = (np.hypot(abs(x) - 0.031, y - 0.730) < 0.022) & (z > 0.10)
        return {
            "skin": skin,
            "eyeballs": (self.part == 1) | (self.part == 2),
            "tongue": self.part == 3,
            "teeth": self.part >= 4,
            "inner_mouth": inside,
            "face": outer & ~scalp & (z > 0.055) & (abs(x) < 0.072),
            "eyes": eyes & (skin | (self.part == 1) | (self.part == 2)),
            "mouth": outer & (np.hypot(x / 1.5, y - 0.664) < 0.024) & (z > 0.11),
            "neck": skin & ~of_head,
            "ears": ears,
            "scalp": scalp,
        }

    @property
    def cavity(self) -> Bool[np.ndarray, "V"]:
        """The inside of the mouth."""
        return self.masks["inner_mouth"]

    @cached_property
    def hairline(self) -> Float[np.ndarray, "V"]:
        """Height (m) above the line at which hair begins; negative below it."""
        return above_hairline(self.verts)

    def _moved(self, *targets: str) -> Bool[np.ndarray, "V"]:
        """Vertices that one of the targets displaces visibly."""
        moves = [np.linalg.norm(self.base.target(name), axis=1) for name in targets]
        return (np.max(moves, 0) > EAR_MOVES)[self.index]

    def _inside_mouth(self) -> Bool[np.ndarray, "V"]:
        """The mouth's cavity, which has a place of its own in the texture (lower right)."""
        corners = self.uv[self.uv_faces].mean(1)
        cavity = (corners[:, 0] > 0.75) & (corners[:, 1] < 0.135)
        inside = np.zeros(len(self.index), bool)
        inside[self.faces[cavity]] = True
        outside = np.zeros(len(self.index), bool)
        outside[self.faces[~cavity]] = True
        return inside & ~outside & (self.part == 0)

    def bone_share(self, bone: str, alone: bool = False) -> Float[np.ndarray, "V"]:
        """Skinning weight of a bone, with all bones below it unless `alone`."""
        bones, weights = self.base.bones, self.base.weights
        total = np.zeros(len(self.base.verts))
        for name in weights:
            above = name
            while not alone and above != bone and above in bones:
                above = bones[above]["parent"]
            if above == bone:
                total += weights[name]
        return total[self.index]

    def joints(self, verts: Float[np.ndarray, "*B N 3"]) -> Float[np.ndarray, "*B 5 3"]:
        """Root, neck, jaw and eye joints of base meshes with all N vertices (m)."""
        heads = [self.base.bone_head(bone, verts) for bone in JOINT_BONES]
        return np.stack(heads, -2)


def above_hairline(points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P"]:
    """Height (m) of points in the base mesh's frame above the line at which hair begins."""
    return points[:, 1] - np.interp(points[:, 2], *HAIRLINE)


def load_head() -> HeadMesh:
    """Head, neck and the top of the shoulders, eyeballs, tongue and teeth."""
    base = source.load_base()
    x, y, _ = base.verts.T
    kept = (abs(x) < BUST_HALF_WIDTH) & (y > BUST_BOTTOM)
    groups = [base.groups[part] for part in PARTS]
    quads = np.concatenate([group.verts for group in groups])
    uv_quads = np.concatenate([group.uv for group in groups])
    whole = kept[quads].all(1)
    faces, uv_faces = (triangles(q[whole]) for q in (quads, uv_quads))
    index, uv_index = np.unique(faces), np.unique(uv_faces)
    part = np.zeros(len(base.verts), np.int64)
    for number, group in enumerate(groups):
        part[group.verts] = number
    return HeadMesh(
        base, index, np.searchsorted(index, faces), base.uv[uv_index],
        np.searchsorted(uv_index, uv_faces), part[index],
    )  # fmt: skip


def triangles(quads: Int[np.ndarray, "Q 4"]) -> Int[np.ndarray, "_ 3"]:
    """Every quad as two triangles, neighbours in the list."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)


def rigid_align(
    points: Float[np.ndarray, "P 3"], to: Float[np.ndarray, "P 3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Rotation and shift with the least squared distance `|points R^T + t - to|` (Kabsch 1976)."""
    here, there = points.mean(0), to.mean(0)
    u, _, vt = np.linalg.svd((points - here).T @ (to - there))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    turn = vt.T @ flip @ u.T
    return turn, there - turn @ here
