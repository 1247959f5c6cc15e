"""FLAME's parameters as other trackers write them, in our conventions.

Two kinds of file are known and told apart by their arrays' names. Both hold one `shape` and, a
row a frame, expression, neck, jaw and eyes (left, right) as axis-angle:

    GaussianAvatars, VHAP   expr rotation neck_pose jaw_pose eyes_pose translation, and perhaps
                            static_offset;  v = FLAME(rotation, neck, jaw, eyes) + translation
    NeRSemble's benchmark   expression rotation neck jaw eyes translation scale;
                            v = scale R FLAME(0, neck, jaw, eyes) + translation

In the first, `rotation` is axis-angle and turns the root joint, and joints are regressed from the
vertices with their static offset. In the second, R is outside of the skinning and turns about
the origin: `rotation` are Euler angles, R = Rx Ry Rz.

Written from what the formats' authors publish (descriptions, readers); no such file was at hand.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from avatar.base.errors import UserError
from avatar.rig import HeadRig
from pipeline.track.external.arrays import read_arrays
from pipeline.track.solve import rotations

AVATARS, BENCHMARK = "GaussianAvatars/VHAP", "NeRSemble's benchmark"
# Our names to theirs, where these differ; and how many numbers a frame has.
NAMES: dict[str, dict[str, str]] = {
    AVATARS: {},
    BENCHMARK: {"expr": "expression", "neck_pose": "neck", "jaw_pose": "jaw", "eyes_pose": "eyes"},
}
VERTS = 5023  # of FLAME's mesh; a rig's teeth come after them
WIDTHS = {"neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "rotation": 3, "translation": 3}
PER_FRAME = ("expr", "neck_pose", "jaw_pose", "eyes_pose", "turn", "translation")
EXTRAS = ("static_offset", "dynamic_offset", "scale", "rotation_matrices")
ANGLE = 2 * np.pi + 0.01  # rad; more is another unit
SAME = 1e-3  # entries of two rotations that agree


@dataclass(frozen=True)
class FlameRows:
    """FLAME's parameters of N frames of one person.

    Attributes:
        kind: which of the two it was.
        shape, static_offset [V,3] (m), scale: of the person; coefficients as many as the rig's.
        expr, neck_pose, jaw_pose, eyes_pose: as `HeadRig` takes them.
        turn, translation (m): `v = scale turn FLAME + translation` with the root at rest in
            NeRSemble's benchmark; in the other kind `turn` is the root joint's.
        remarks: what is not taken over as it is, one sentence each.
    """

    kind: str
    shape: Float[np.ndarray, "S"]
    static_offset: Float[np.ndarray, "V 3"]
    scale: float
    expr: Float[np.ndarray, "N E"]
    neck_pose: Float[np.ndarray, "N 3"]
    jaw_pose: Float[np.ndarray, "N 3"]
    eyes_pose: Float[np.ndarray, "N 6"]
    turn: Float[np.ndarray, "N 3 3"]
    translation: Float[np.ndarray, "N 3"]
    remarks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.expr)

    def at(self, frames: Int[np.ndarray, "K"]) -> "FlameRows":
        """The rows of some of the frames."""
        return replace(self, **{name: getattr(self, name)[frames] for name in PER_FRAME})


def read_rows(path: Path, rig: HeadRig) -> FlameRows:
    """Read one file of either kind, of one frame or many.

    Raises:
        UserError: neither kind, an array is missing, has another shape or holds no finite numbers,
            coefficients that the rig lacks, or angles that are no radians.
    """
    known = {"shape", "expr", *WIDTHS, *EXTRAS, *NAMES[BENCHMARK].values()}
    arrays = read_arrays(path, known)
    kind = BENCHMARK if "expression" in arrays else AVATARS
    theirs = {name: NAMES[kind].get(name, name) for name in ("shape", "expr", *WIDTHS)}
    missing = [name for name in theirs.values() if name not in arrays]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: expected FLAME's parameters ({kind})")
    rows = {
        name: _rows(path, theirs[name], arrays[theirs[name]], width)
        for name, width in WIDTHS.items()
    }
    rows["expr"] = _coefficients(path, theirs["expr"], arrays[theirs["expr"]], rig.num_expr)
    counts = {theirs[name]: len(array) for name, array in rows.items()}
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserError(f"{path}: its arrays have different numbers of frames: {listing}")
    shape = _coefficients(path, "shape", arrays["shape"], rig.num_shape)
    if len(shape) != 1:
        raise UserError(f"{path}: shape has {len(shape)} rows: expected one, of one person")
    remarks: list[str] = []
    rotation = rows.pop("rotation")
    if kind == BENCHMARK:
        about_x, about_y, about_z = (rotations.exp(rotation * axis) for axis in np.eye(3))
        turn = about_x @ about_y @ about_z
        _check_matrices(path, turn, arrays, remarks)
    else:
        turn = rotations.exp(rotation)
    return FlameRows(
        kind, shape[0], _offset(path, arrays, rig, remarks), _scale(path, arrays),
        turn=turn, remarks=tuple(remarks), **rows,
    )  # fmt: skip


def join(single: list[FlameRows]) -> FlameRows:
    """Rows of one sequence end to end; whose they are is the first's."""
    joined = {name: np.concatenate([getattr(rows, name) for rows in single]) for name in PER_FRAME}
    return replace(single[0], **joined)


def _rows(
    path: Path, name: str, array: Float[np.ndarray, "..."], width: int
) -> Float[np.ndarray, "N W"]:
    if array.ndim == 0 or array.shape[-1] != width:
        raise UserError(f"{path}: {name} has shape {array.shape}, expected (frames, {width})")
    largest = float(np.abs(array).max(initial=0))
    if name != "translation" and largest > ANGLE:
        raise UserError(f"{path}: {name} holds {largest:.3g}: expected angles in radians")
    return array.reshape(-1, width)


def _coefficients(
    path: Path, name: str, array: Float[np.ndarray, "..."], count: int
) -> Float[np.ndarray, "N K"]:
    """Coefficients of the first directions; those that a tracker did not use are zero."""
    given = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    if given[:, count:].any():
        raise UserError(
            f"{path}: {name} has {given.shape[1]} coefficients, the rig {count}: they are of "
            "another model"
        )
    given = given[:, :count]
    return np.pad(given, ((0, 0), (0, count - given.shape[1])))


def _scale(path: Path, arrays: dict[str, Float[np.ndarray, "..."]]) -> float:
    scale = np.unique(arrays.get("scale", np.ones(1)))
    if len(scale) != 1 or scale[0] <= 0:
        raise UserError(f"{path}: scale is {scale[:3].tolist()}, expected one positive number")
    return float(scale[0])


def _offset(
    path: Path, arrays: dict[str, Float[np.ndarray, "..."]], rig: HeadRig, remarks: list[str]
) -> Float[np.ndarray, "V 3"]:
    """Static offsets of FLAME's own vertices; teeth differ from program to program."""
    result = np.zeros((rig.num_verts, 3))
    if "dynamic_offset" in arrays:
        remarks.append("dynamic offsets are left out: a rig has static ones only")
    if "static_offset" not in arrays:
        return result
    offset = arrays["static_offset"]
    if offset.shape[-1:] != (3,) or offset.size // 3 not in (VERTS, rig.num_verts):
        raise UserError(
            f"{path}: static_offset has shape {offset.shape}, expected ({VERTS}, 3), or "
            f"({rig.num_verts}, 3) with teeth"
        )
    offset = offset.reshape(-1, 3)
    result[:VERTS] = offset[:VERTS]
    if (teeth := np.abs(offset[VERTS:]).max(initial=0)) > 0:
        remarks.append(f"static offsets of teeth are left out: up to {1000 * teeth:.1f} mm")
    return result


def _check_matrices(
    path: Path,
    turn: Float[np.ndarray, "N 3 3"],
    arrays: dict[str, Float[np.ndarray, "..."]],
    remarks: list[str],
) -> None:
    """The benchmark's files say every rotation twice."""
    again = arrays.get("rotation_matrices", turn)
    if again.shape != turn.shape or np.abs(again - turn).max(initial=0) > SAME:
        remarks.append(f"{path}: rotation_matrices differ from the Euler angles, which are used")
