"""FLAME as its makers' file has it: read, checked, unchanged.

FLAME (Li et al. 2017) comes in several editions (2020, 2023, 2023 Open) with the same arrays
and different numbers in them. None is part of this project: users bring their own file. Its
frame is ours: metres, y up, z from the face towards the viewer, x to the subject's left.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from avatar.base import files, npz
from avatar.base.errors import UserError
from avatar.rig.head_rig import NECK, ROOT
from pipeline.rigs.flame.unpickle import load_arrays

VERTS, FACES, SHAPES, EXPRESSIONS = 5023, 9976, 300, 100
SHAPES_OF_ARRAYS = {
    "v_template": (VERTS, 3),
    "f": (FACES, 3),
    "shapedirs": (VERTS, 3, SHAPES + EXPRESSIONS),
    "posedirs": (VERTS, 3, 36),
    "J_regressor": (5, VERTS),
    "weights": (VERTS, 5),
    "kintree_table": (2, 5),
}
PARENTS = (-1, ROOT, NECK, NECK, NECK)  # root, neck, jaw, left eye, right eye
EYE_DISTANCE = (0.04, 0.09)  # m, between the eyes' joints: tells metres from other units


@dataclass(frozen=True)
class Flame:
    """The arrays of a FLAME file, metres, and the file's sha256.

    `shapedirs` are of unit variance; `exprdirs` are the last 100 directions of the file's
    array of that name, `weights` the skinning weights of root, neck, jaw, left and right eye.
    """

    v_template: Float[np.ndarray, "5023 3"]
    faces: Int[np.ndarray, "9976 3"]
    shapedirs: Float[np.ndarray, "5023 3 300"]
    exprdirs: Float[np.ndarray, "5023 3 100"]
    posedirs: Float[np.ndarray, "5023 3 36"]
    joint_regressor: Float[np.ndarray, "5 5023"]
    weights: Float[np.ndarray, "5023 5"]
    sha256: str

    @property
    def joints(self) -> Float[np.ndarray, "5 3"]:
        """Rest positions of the mean head's joints (m)."""
        return self.joint_regressor @ self.v_template


def load(path: str | Path) -> Flame:
    """Read a FLAME file: a pickle (nothing in it is executed) or an npz with the same arrays.

    Raises:
        UserError: the file is absent, damaged or not FLAME's.
    """
    try:
        arrays = _arrays(Path(path))
        digest = files.sha256(path)
    except OSError as problem:
        raise UserError(
            f"{path} cannot be read ({problem.strerror or problem}): "
            "`flame:` in the configuration is the path of your FLAME file"
        ) from None
    _check(path, arrays)
    directions = arrays["shapedirs"].astype(np.float64)
    return Flame(
        v_template=arrays["v_template"].astype(np.float64),
        faces=arrays["f"].astype(np.int64),
        shapedirs=directions[:, :, :SHAPES],
        exprdirs=directions[:, :, SHAPES:],
        posedirs=arrays["posedirs"].astype(np.float64),
        joint_regressor=arrays["J_regressor"].astype(np.float64),
        weights=arrays["weights"].astype(np.float64),
        sha256=digest,
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with files.open_plain(path) as file:
        packed = file.read(4) == b"PK\x03\x04"
    if not packed:
        return load_arrays(path, SHAPES_OF_ARRAYS)
    return npz.read(path, SHAPES_OF_ARRAYS, "save FLAME's arrays as numbers")


def _check(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Names, shapes, finite numbers, indices, the joints' order, and the unit."""
    missing = [name for name in SHAPES_OF_ARRAYS if name not in arrays]
    if missing:
        raise UserError(f"{path} is no FLAME file: it lacks {', '.join(missing)}")
    for name, expected in SHAPES_OF_ARRAYS.items():
        array = arrays[name]
        if array.shape != expected or array.dtype.kind not in "iuf":
            raise UserError(
                f"{path} is no FLAME file: {name} is {array.dtype} {array.shape}, "
                f"expected numbers {expected} (FLAME 2020, 2023 or 2023 Open)"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} has values that are not finite: download it again")
    parents = arrays["kintree_table"][0].astype(np.int64)[1:]
    if tuple(parents) != PARENTS[1:]:
        raise UserError(
            f"{path}: the joints' parents are {parents.tolist()}, expected {list(PARENTS[1:])}: "
            "root, neck, jaw, left eye, right eye"
        )
    if arrays["f"].min() < 0 or arrays["f"].max() >= VERTS:
        raise UserError(f"{path}: f names vertices outside 0..{VERTS - 1}: download it again")
    if np.abs(arrays["weights"].sum(1) - 1).max() > 1e-3 or arrays["weights"].min() < -1e-6:
        raise UserError(f"{path}: weights are no shares that sum to one: download it again")
    left, right = (arrays["J_regressor"] @ arrays["v_template"])[3:]
    if not EYE_DISTANCE[0] < left[0] - right[0] < EYE_DISTANCE[1]:
        raise UserError(
            f"{path}: the left eye lies {left[0] - right[0]:.3g} beside the right one, expected "
            f"{EYE_DISTANCE[0]} to {EYE_DISTANCE[1]}: metres, x to the subject's left"
        )
