"""From FLAME's parameters of each sequence to one track of the rig `flame`."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar.base.errors import UserError
from avatar.data.layout import Tables
from avatar.rig import HeadRig, RigParams
from avatar.rig.controls import CONTROLS
from avatar.rig.head_rig import EYE_L, EYE_R, JAW, NECK, ROOT
from pipeline.track.external.arrays import nearest_known
from pipeline.track.external.flame import BENCHMARK, FlameRows
from pipeline.track.solve import rotations

WORTH_SAYING = 1e-4  # m


@dataclass(frozen=True)
class Part:
    """The track of one sequence: rows for the timesteps `at`, in a world of its own.

    `world` (4x4, rigid, metres) leads from there to the cameras' world.
    """

    sequence: str
    rows: FlameRows
    at: Int[np.ndarray, "N"]
    world: Float[np.ndarray, "4 4"]


def flame_params(
    rig: HeadRig,
    parts: list[Part],
    tables: Tables,
    remarks: list[str],
    person: FlameRows | None = None,
) -> tuple[RigParams, float]:
    """Join the sequences' tracks to one of the rig `flame`.

    A subject has one identity (shape, static offsets, scale): the first sequence's. Where another
    sequence's differs, or joints moved with static offsets as this rig's do not, the head stays
    in place and the rest is said in a remark. A rig has no scale: the world's unit is the scale
    in metres instead, which the cameras must share (`viewmat`'s translation over it).

    Args:
        parts: at least one, of one row or more.
        remarks: gets a sentence for each thing that is not exact.
        person: rows of another sequence whose identity it is; the first part's if None.
    Returns:
        The parameters at every timestep (those without a track are held, not valid), and the scale.
    """
    person = parts[0].rows if person is None else person
    placed = [_placed(rig, part, person, remarks) for part in parts]
    at = np.concatenate([part.at for part in parts])
    known = np.zeros(len(tables.sequence), bool)
    known[at] = True
    row = np.zeros(len(known), np.int64)
    row[at] = np.arange(len(at))
    taken = row[nearest_known(known, tables.sequence)]
    arrays = {name: np.concatenate([p[name] for p in placed])[taken] for name in placed[0]}
    arrays |= {"shape": person.shape, "static_offset": person.static_offset}
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    params = RigParams(
        **tensors, sequence=tables.sequence, index=tables.index, time=tables.time, valid=known,
        rig=rig.name, rig_sha256=rig.sha256,
    )  # fmt: skip
    return params, person.scale


def _placed(
    rig: HeadRig, part: Part, person: FlameRows, remarks: list[str]
) -> dict[str, Float[np.ndarray, "N ..."]]:
    """What moves the rig in one sequence, its head where the part's own head is."""
    rows, turn = part.rows, part.rows.turn
    neck = rotations.exp(rows.neck_pose)
    rest, moved = _joints(rig, rows), _joints(rig, rows) + _joint_shift(rig, rows)
    # Where the root joint is, in units of the person's scale.
    if rows.kind == BENCHMARK:
        root = rows.scale * _turned(turn, moved[:, ROOT]) + rows.translation
    else:
        root = moved[:, ROOT] + rows.translation
    turn = part.world[:3, :3] @ turn
    root = (root @ part.world[:3, :3].T + part.world[:3, 3]) / person.scale
    # The arm from the root joint to the middle of the eyes, as it was and as the rig's will be.
    theirs = _arm(moved, _eyes(rest), neck) * (rows.scale / person.scale)
    final = _joints(rig, rows, person.shape)
    root = root + _turned(turn, theirs - _arm(final, _eyes(final), neck))
    _remark_joints(rig, rows, remarks)
    _remark_person(rig, part, person, remarks)
    return {
        "expr": rows.expr, "rotation": rotations.log(turn), "neck_pose": rows.neck_pose,
        "jaw_pose": rows.jaw_pose, "eyes_pose": rows.eyes_pose,
        "translation": root - final[:, ROOT], "neck_shift": np.zeros((len(rows), 3)),
        "soft_offset": np.zeros((len(rows), 3 * CONTROLS)),
    }  # fmt: skip


def _joints(
    rig: HeadRig, rows: FlameRows, shape: Float[np.ndarray, "S"] | None = None
) -> Float[np.ndarray, "N 5 3"]:
    """Joints at rest (m) with each row's expression, without static offsets."""
    identity = torch.from_numpy(np.float32(rows.shape if shape is None else shape))
    joints = rig.joints(identity, torch.from_numpy(np.float32(rows.expr))).double().numpy()
    return np.broadcast_to(joints, (len(rows), *joints.shape[-2:]))  # expr may move none of them


def _joint_shift(rig: HeadRig, rows: FlameRows) -> Float[np.ndarray, "5 3"]:
    """How far static offsets move joints that are regressed from the vertices (m)."""
    if not rows.static_offset.any():
        return np.zeros((5, 3))
    if rig.joint_regressor is None:
        raise UserError(f"rig {rig.name}: its file has no joint_regressor: bake it again")
    return rig.joint_regressor.double().numpy() @ rows.static_offset


def _eyes(joints: Float[np.ndarray, "N 5 3"]) -> Float[np.ndarray, "N 3"]:
    return joints[:, [EYE_L, EYE_R]].mean(1)


def _arm(
    joints: Float[np.ndarray, "N 5 3"],
    point: Float[np.ndarray, "N 3"],
    neck: Float[np.ndarray, "N 3 3"],
) -> Float[np.ndarray, "N 3"]:
    """From the root joint to a point of the head at rest, as the neck turns it."""
    return joints[:, NECK] - joints[:, ROOT] + _turned(neck, point - joints[:, NECK])


def _turned(
    turns: Float[np.ndarray, "N 3 3"], arms: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N 3"]:
    return (turns @ arms[..., None])[..., 0]


def _remark_joints(rig: HeadRig, rows: FlameRows, remarks: list[str]) -> None:
    """What is left of moved joints: each misses by its turn of the shift of its joint."""
    shift = _joint_shift(rig, rows)
    turns = {NECK: rows.neck_pose, JAW: rows.jaw_pose}
    turns |= {EYE_L: rows.eyes_pose[:, :3], EYE_R: rows.eyes_pose[:, 3:]}
    miss = max(
        float(np.linalg.norm((np.eye(3) - rotations.exp(turn)) @ shift[joint], axis=1).max())
        for joint, turn in turns.items()
    )
    if miss > WORTH_SAYING:
        remarks.append(
            f"static offsets move FLAME's joints, not this rig's: jaw, eyes or shoulders are off "
            f"by up to {1000 * miss:.1f} mm"
        )


def _remark_person(rig: HeadRig, part: Part, person: FlameRows, remarks: list[str]) -> None:
    """How far a sequence's own head departs from the one that is used."""
    theirs, used = (_head(rig, rows, rows.scale / person.scale) for rows in (part.rows, person))
    apart = float(np.linalg.norm(theirs - used, axis=1).max())
    if apart > WORTH_SAYING:
        remarks.append(
            f"sequence {part.sequence} has another identity, by up to {1000 * apart:.1f} mm: the "
            "first sequence's is used"
        )


def _head(rig: HeadRig, rows: FlameRows, scale: float) -> Float[np.ndarray, "V 3"]:
    """The head at rest about the middle of its eyes (m)."""
    shape = torch.from_numpy(np.float32(rows.shape))
    verts = rig.rest(shape, torch.zeros(rig.num_expr)).double().numpy() + rows.static_offset
    eyes = rig.joints(shape).double().numpy()[[EYE_L, EYE_R]].mean(0)
    return scale * (verts - eyes)
