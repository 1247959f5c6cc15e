"""From the solved timesteps to rig parameters at every timestep."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from avatar.dataset import FrameStore
from avatar.rig import HeadRig, RigParams
from pipeline.track import rotations
from pipeline.track.model import LandmarkModel
from pipeline.track.problem import State


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
    valid: Bool[np.ndarray, "T"],
    store: FrameStore,
) -> RigParams:
    """The rig's own parameters: it turns the head about its root joint, the solver elsewhere."""
    k = np.zeros(model.root.shape[1])
    k[0], k[1 : 1 + model.num_shape] = 1.0, state.shape
    root = model.root @ k
    translation = state.centre - root + (root - model.pivot) @ state.rotation.swapaxes(1, 2)
    arrays = {
        "shape": state.shape,
        "static_offset": static_offset,
        "expr": state.expr,
        "rotation": rotations.log(state.rotation),
        "neck_pose": np.zeros((len(valid), 3)),
        "jaw_pose": state.hinges[:, :3],
        "eyes_pose": state.hinges[:, 3:],
        "translation": translation,
    }
    tensors = {name: torch.from_numpy(np.asarray(a, np.float32)) for name, a in arrays.items()}
    return RigParams(
        **tensors, sequence=store.sequence, index=store.index, time=store.time, valid=valid,
        rig=rig.name, rig_sha256=rig.sha256,
    )  # fmt: skip
