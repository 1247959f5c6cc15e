"""From the solved timesteps to rig parameters at every timestep."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from avatar.data.layout import Tables
from avatar.rig import HeadRig, RigParams
from avatar.rig.controls import CONTROLS
from avatar.rig.params import POSES
from pipeline.track.solve import rotations
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.state import State


def bridge(
    state: State,
    valid: Bool[np.ndarray, "T"],
    clip: Int[np.ndarray, "T"],
    time: Float[np.ndarray, "T"],
) -> State:
    """Spread a state of the valid timesteps over all of them.

    Between two valid timesteps of one sequence values are interpolated in time, before the
    first and after the last they are held; a sequence without any takes the nearest valid
    timestep's. Nothing is extrapolated.
    """
    known = np.flatnonzero(valid)
    after = np.searchsorted(known, np.arange(len(valid))).clip(max=len(known) - 1)
    before = np.where(known[after] > np.arange(len(valid)), np.maximum(after - 1, 0), after)
    start, stop = known[before], known[after]
    # A neighbour in another sequence is no neighbour, unless it is the only one.
    here = np.arange(len(valid))
    start = np.where((clip[start] != clip) & (clip[stop] == clip), stop, start)
    stop = np.where((clip[stop] != clip) & (clip[start] == clip), start, stop)
    stop = np.where(clip[start] != clip[stop], start, stop)
    span = time[stop] - time[start]
    share = np.where(span > 0, (time[here] - time[start]) / np.where(span > 0, span, 1), 0)
    share = share.clip(0, 1)
    first, last = np.searchsorted(known, start), np.searchsorted(known, stop)

    def between(values: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "T D"]:
        return values[first] + share[:, None] * (values[last] - values[first])

    return State(
        state.shape,
        state.zoom,
        rotations.slerp(state.rotation[first], state.rotation[last], share),
        between(state.centre),
        between(state.hinges),
        between(state.expr),
        state.bias,
    )


def rig_params(
    rig: HeadRig,
    model: LandmarkModel,
    state: State,
    static_offset: Float[np.ndarray, "V 3"],
    nod: Float[np.ndarray, "T 3"],
    valid: Bool[np.ndarray, "T"],
    tables: Tables,
) -> RigParams:
    """The rig's own parameters: it turns about its root and neck joints, the solver elsewhere.

    Args:
        state: of all T timesteps.
        static_offset: metres.
        nod: the head's turn against the torso (axis-angle); the head, and with it the neck joint,
            stays where the solver put it, and the torso turns about that joint.
        valid: whether a timestep was solved, not bridged.
    """
    root, neck = _root_and_neck(model, state.shape, state.expr)
    torso = state.rotation @ rotations.exp(nod).swapaxes(1, 2)
    pivot_to_neck = state.centre + _turned(state.rotation, neck - model.pivot)
    arrays = {
        "shape": state.shape,
        "static_offset": static_offset,
        "expr": state.expr,
        "rotation": rotations.log(torso),
        "neck_pose": nod,
        "jaw_pose": state.hinges[:, :3],
        "eyes_pose": state.hinges[:, 3:],
        "translation": pivot_to_neck - _turned(torso, neck - root) - root,
        "neck_shift": np.zeros_like(nod),
        "soft_offset": np.zeros((len(nod), 3 * CONTROLS)),
    }
    tensors = {name: torch.from_numpy(np.asarray(a, np.float32)) for name, a in arrays.items()}
    return RigParams(
        **tensors, sequence=tables.sequence, index=tables.index, time=tables.time, valid=valid,
        rig=rig.name, rig_sha256=rig.sha256,
    )  # fmt: skip


def solver_state(model: LandmarkModel, params: RigParams, cameras: int) -> State:
    """The state that puts the landmarks where a rig's parameters do: `rig_params` turned round.

    Args:
        model: of the rig, the parameters' static offset added to its template.
        cameras: how many there are.
    """
    shape = params.shape.double().numpy()
    arrays = {name: getattr(params, name).double().numpy() for name in POSES}
    root, neck = _root_and_neck(model, shape, arrays["expr"])
    torso, nod = rotations.exp(arrays["rotation"]), rotations.exp(arrays["neck_pose"])
    arm = neck + arrays["neck_shift"] - root + _turned(nod, model.pivot - neck)
    return State(
        shape,
        zoom=0.0,
        rotation=torso @ nod,
        centre=root + arrays["translation"] + _turned(torso, arm),
        hinges=np.concatenate([arrays["jaw_pose"], arrays["eyes_pose"]], 1),
        expr=arrays["expr"],
        bias=np.zeros((cameras, model.num_landmarks, 2)),
    )


def _root_and_neck(
    model: LandmarkModel, shape: Float[np.ndarray, "S"], expr: Float[np.ndarray, "T E"]
) -> tuple[Float[np.ndarray, "T 3"], Float[np.ndarray, "T 3"]]:
    """Root and neck joint at rest (m) of an identity with each timestep's expression."""
    count = len(expr)
    still = np.zeros((count, model.root.shape[1] - 1 - model.num_shape - model.num_expr))
    k = np.concatenate([np.tile(np.append(1.0, shape), (count, 1)), expr, still], 1)
    return k @ model.root.T, k @ model.neck.T


def _turned(
    turns: Float[np.ndarray, "T 3 3"], arms: Float[np.ndarray, "T 3"]
) -> Float[np.ndarray, "T 3"]:
    return (turns @ arms[..., None])[..., 0]
