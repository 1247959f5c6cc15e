"""From observed landmarks, colours, and outlines where there is a matte, to a track."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.base.errors import UserError
from avatar.data.cameras import Cameras
from avatar.data.reader import AlphaStore, FrameStore
from avatar.rig import HeadRig, RigParams
from pipeline.common.parallel import threaded
from pipeline.track.outline import offsets, overlap, silhouette, torso
from pipeline.track.outline.silhouette import Rim
from pipeline.track.photometric import occlusion, refine, samples, skin
from pipeline.track.settings import Priors
from pipeline.track.solve import initial, stages, timeline
from pipeline.track.solve.held_out import HeldOut
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.priors import PosePrior
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State

MAX_SPREAD = 0.003  # m; landmarks that the rig knows less well cost time and gain nothing
OUTLINE_ROUNDS = 2  # times that outlines are measured and the identity refined by them
OFFSET_ROUNDS = 3  # the same of static offsets


@dataclass(frozen=True)
class Fit:
    """A track: what was solved, and how to read it.

    Attributes:
        problem, state: of the N timesteps at which a face was found.
        valid: whether each of the T timesteps is one of them; held: what is held out.
        static_offset: personal shape beyond the identity basis, metres.
        nod: the head's turn against the torso at each of the T timesteps, axis-angle.
    """

    rig: HeadRig
    problem: Problem
    state: State
    valid: Bool[np.ndarray, "T"]
    held: HeldOut
    static_offset: Float[np.ndarray, "V 3"]
    nod: Float[np.ndarray, "T 3"]

    def params(self, store: FrameStore) -> RigParams:
        """Rig parameters at every timestep, gaps bridged."""
        return timeline.rig_params(
            self.rig, self.problem.model, self.whole(store), self.static_offset, self.nod,
            self.valid, store.tables,
        )  # fmt: skip

    def whole(self, store: FrameStore) -> State:
        """The state at every timestep, gaps bridged."""
        return timeline.bridge(self.state, self.valid, _clips(store), store.time)

    def cameras(self, given: Cameras) -> Cameras:
        """The cameras as solved: focal length, and where the world was put."""
        Ks = given.Ks.copy()
        Ks[:, [0, 1], [0, 1]] *= np.exp(self.state.zoom)
        return replace(given, Ks=Ks, viewmats=self.problem.observations.viewmats)


def landmark_model(rig: HeadRig) -> LandmarkModel:
    """The rig at those of its landmarks that are worth fitting."""
    assert rig.landmarks is not None
    return LandmarkModel(rig, rig.landmarks.spread.numpy() <= MAX_SPREAD)


def by_landmarks(
    rig: HeadRig,
    model: LandmarkModel,
    observed: Observations,
    known: bool,
    priors: Priors,
    pose_prior: PosePrior | None = None,
    held: HeldOut | None = None,
) -> Fit:
    """Fit the rig to the landmarks of every timestep in which a face was found.

    Args:
        known: whether the cameras are calibrated. Where not, the focal length is estimated, and
            the world's origin is put where the head mostly is.
        pose_prior: what else is known of every timestep's expression.
        held: what may not determine identity and focal length; nothing by default.
    Raises:
        UserError: no detection is a head that faces a camera.
    """
    rotation, centre, valid = initial.head_poses(model, observed)
    if not valid.any():
        raise UserError(
            "landmarks were found, but none form a head that faces its camera: are the cameras' "
            "axes OpenCV's, and their matrices world-to-camera in metres?"
        )
    solved = observed.at(np.flatnonzero(valid))
    rotation, centre = rotation[valid], centre[valid]
    if not known:
        middle = np.median(centre, 0)
        viewmats = solved.viewmats.copy()
        viewmats[:, :3, 3] += viewmats[:, :3, :3] @ middle
        solved, centre = replace(solved, viewmats=viewmats), centre - middle
    problem = Problem(
        model, solved, priors, stages.bounds(rig), stages.blinks(rig), stages.ease(rig),
        pose_prior=pose_prior.at(np.flatnonzero(valid)) if pose_prior else None,
    )  # fmt: skip
    held = held or HeldOut.nothing(len(valid))
    first = problem.initial(rotation, centre)
    state = stages.run(problem, first, known, training=held.training(valid))
    flat, still = np.zeros((rig.num_verts, 3)), np.zeros((len(valid), 3))
    return Fit(rig, problem, state, valid, held, flat, still)


def by_outlines(
    fit: Fit, store: FrameStore, given: Cameras, alphas: AlphaStore, known: bool
) -> Fit:
    """Refine a fit's identity by the alpha's outlines.

    One camera's outline is as much a matter of its unknown focal length and of the head's
    depth as of the identity, so there nothing changes.
    """
    cameras = fit.cameras(given)
    rows = _outline_rows(fit, alphas)
    for _ in range(OUTLINE_ROUNDS if known else 0):
        rim = silhouette.measure(fit.rig, fit.params(store), cameras, alphas, rows)
        head = rim.on(~fit.rig.masks["neck"].numpy())
        problem = fit.problem.with_shape_prior(
            silhouette.shape_prior(fit.rig, head, fit.state.shape)
        )
        training = fit.held.training(fit.valid)
        state = stages.run(problem, fit.state, known, stages.BY_OUTLINES, training)
        fit = replace(fit, problem=problem, state=state)
    return fit


def _outline_rows(fit: Fit, alphas: AlphaStore) -> Int[np.ndarray, "R"]:
    """Frames whose outlines are measured: of training timesteps and cameras."""
    training = fit.valid & ~fit.held.timesteps
    rows = silhouette.choose_rows(alphas, training if training.any() else fit.valid)
    return fit.held.rows(alphas, rows)


def covered(fit: Fit, store: FrameStore) -> Bool[np.ndarray, "N C L"]:
    """Landmarks of the solved timesteps that something covers."""
    points = skin.skin(fit.rig, fit.problem.model.pivot)
    frame = samples.frames(store, np.flatnonzero(fit.valid))
    return occlusion.occluded(fit.problem, fit.state, points, frame)


def by_colours(fit: Fit, store: FrameStore) -> Fit:
    """Refine a fit's motion by the colours of the face's skin."""
    points = skin.skin(fit.rig, fit.problem.model.pivot)
    frame = samples.frames(store, np.flatnonzero(fit.valid))
    training = fit.held.training(fit.valid)
    return replace(fit, state=refine.refine(fit.problem, fit.state, points, frame, training))


def with_offsets(
    fit: Fit, store: FrameStore, given: Cameras, alphas: AlphaStore
) -> tuple[Fit, dict[str, float]]:
    """Give a fit what outlines say beside the identity: the torso's turning, and static offsets.

    Returns:
        The fit (the offsets stay zero where they do not bring mesh and alpha closer together),
        and for quality.json the overlaps of mesh and alpha and the neck's share.
    """
    cameras = fit.cameras(given)
    rows = _outline_rows(fit, alphas)
    heading = torso.Heading.of(fit.whole(store).rotation, _clips(store))
    turning = replace(fit, nod=heading.nod(torso.START))
    rim = silhouette.measure(fit.rig, turning.params(store), cameras, alphas, rows)
    fit, share = _with_neck(fit, store, heading, rim, len(rows))
    shaped = _shaped(fit, store, cameras, alphas, rows, rim)
    before, after = threaded(
        lambda candidate: overlap.measure(
            fit.rig, candidate.params(store), cameras, alphas, rows[::2]
        ),
        (fit, shaped),
    )
    best, chosen = (after, shaped) if after.head > before.head else (before, fit)
    return chosen, {
        "silhouette_iou_without_offset": before.head,
        **best.metrics(),
        "neck_share": share,
    }


def _shaped(
    fit: Fit,
    store: FrameStore,
    cameras: Cameras,
    alphas: AlphaStore,
    rows: Int[np.ndarray, "R"],
    rim: Rim,
) -> Fit:
    """The fit with static offsets that meet the outlines, which other vertices then make.

    Args:
        rim: of the fit as it is.
    """
    shaped = replace(fit, static_offset=offsets.static_offset(fit.rig, rim))
    for _ in range(OFFSET_ROUNDS - 1):
        rim = silhouette.measure(fit.rig, shaped.params(store), cameras, alphas, rows)
        rim = rim.without(shaped.static_offset)
        shaped = replace(fit, static_offset=offsets.static_offset(fit.rig, rim))
    return shaped


def _with_neck(
    fit: Fit, store: FrameStore, heading: torso.Heading, rim: Rim, frames: int
) -> tuple[Fit, float]:
    """Turn the torso apart from the head, and say the neck's share; as one where it is not seen."""
    seen = rim.on(fit.rig.masks["neck"].numpy())
    if len(seen.vertices) < torso.ENOUGH * frames:
        return fit, 0.0
    share, drift = torso.solve(fit.rig, fit.state.shape, heading, seen, _clips(store), store.time)
    return replace(fit, nod=heading.nod(share, drift)), share


def _clips(store: FrameStore) -> Int[np.ndarray, "T"]:
    """Number of each timestep's sequence."""
    return np.unique(store.sequence, return_inverse=True)[1]
