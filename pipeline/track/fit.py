"""From observed landmarks, colours, and outlines where there is a matte, to a track."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.cameras import Cameras
from avatar.dataset import AlphaStore, FrameStore
from avatar.errors import UserError
from avatar.rig import HeadRig, RigParams
from pipeline.parallel import threaded
from pipeline.track import initial, looks, photometric, silhouette, skin, stages, timeline
from pipeline.track.model import LandmarkModel
from pipeline.track.problem import Belief, Observations, Priors, Problem, State

MAX_SPREAD = 0.003  # m; landmarks that the rig knows less well cost time and gain nothing
NECK_SHARES = (0.0, 0.5, 1.0)
NECK_GAIN = 0.002  # overlap of the shoulders by which a moving neck must be better
OUTLINE_ROUNDS = 2  # times that outlines are measured and the identity refined by them


@dataclass(frozen=True)
class Fit:
    """A track: what was solved, and how to read it.

    Attributes:
        problem, state: of the N timesteps at which a face was found.
        valid: whether each of the T timesteps is one of them.
        static_offset: personal shape beyond the identity basis, metres.
        neck_share: how much of the head's turning is the neck's, not the torso's.
    """

    rig: HeadRig
    problem: Problem
    state: State
    valid: Bool[np.ndarray, "T"]
    static_offset: Float[np.ndarray, "V 3"]
    neck_share: float = 0.0

    def params(self, store: FrameStore) -> RigParams:
        """Rig parameters at every timestep, gaps bridged."""
        clip = np.unique(store.sequence, return_inverse=True)[1]
        whole = timeline.bridge(self.state, self.valid, clip, store.time)
        model = self.problem.model
        return timeline.rig_params(
            self.rig, model, whole, self.static_offset, self.neck_share, self.valid, store.tables
        )

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
    belief: Belief | None = None,
) -> Fit:
    """Fit the rig to the landmarks of every timestep in which a face was found.

    Args:
        known: whether the cameras are calibrated. Where not, the focal length is estimated, and
            the world's origin is put where the head mostly is.
        belief: what else is known of every timestep's expression.
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
        belief=belief.at(np.flatnonzero(valid)) if belief else None,
    )  # fmt: skip
    state = stages.run(problem, problem.initial(rotation, centre), known)
    return Fit(rig, problem, state, valid, np.zeros((rig.num_verts, 3)))


def by_outlines(
    fit: Fit, store: FrameStore, given: Cameras, alphas: AlphaStore, known: bool
) -> Fit:
    """Refine a fit's identity by the alpha's outlines.

    One camera's outline is as much a matter of its unknown focal length and of the head's
    depth as of the identity, so there nothing changes.
    """
    cameras = fit.cameras(given)
    rows = silhouette.choose_rows(alphas, fit.valid)
    for _ in range(OUTLINE_ROUNDS if known else 0):
        rim = silhouette.measure(fit.rig, fit.params(store), cameras, alphas, rows)
        problem = fit.problem.hinted(silhouette.shape_hint(fit.rig, rim, fit.state.shape))
        state = stages.run(problem, fit.state, known, stages.BY_OUTLINES)
        fit = replace(fit, problem=problem, state=state)
    return fit


def by_colours(fit: Fit, store: FrameStore) -> Fit:
    """Refine a fit's motion by the colours of the face's skin."""
    points = skin.skin(fit.rig, fit.problem.model.pivot)
    frame = looks.frames(store, np.flatnonzero(fit.valid))
    return replace(fit, state=photometric.refine(fit.problem, fit.state, points, frame))


def with_offsets(
    fit: Fit, store: FrameStore, given: Cameras, alphas: AlphaStore
) -> tuple[Fit, dict[str, float]]:
    """Give a fit what outlines say beside the identity: the neck's share, then static offsets.

    Returns:
        The fit (the offsets stay zero where they do not bring mesh and alpha closer together),
        and the overlaps of mesh and alpha without and with offsets.
    """
    cameras = fit.cameras(given)
    rows = silhouette.choose_rows(alphas, fit.valid)
    fit = _with_neck(fit, store, cameras, alphas, rows)
    rim = silhouette.measure(fit.rig, fit.params(store), cameras, alphas, rows)
    shaped = replace(fit, static_offset=silhouette.static_offset(fit.rig, rim))
    before, after = threaded(
        lambda candidate: silhouette.overlap(
            fit.rig, candidate.params(store), cameras, alphas, rows[::2], "head"
        ),
        (fit, shaped),
    )
    overlaps = {
        "silhouette_iou_without_offset": before,
        "silhouette_iou": max(before, after),
        "neck_share": fit.neck_share,
    }
    return (shaped if after > before else fit), overlaps


def _with_neck(
    fit: Fit,
    store: FrameStore,
    cameras: Cameras,
    alphas: AlphaStore,
    rows: Int[np.ndarray, "R"],
) -> Fit:
    """Let the neck turn the head where the shoulders' outline says that the torso does not."""
    candidates = [replace(fit, neck_share=share) for share in NECK_SHARES]
    overlaps = [
        silhouette.overlap(
            fit.rig, candidate.params(store), cameras, alphas, rows[::4], "shoulders"
        )
        for candidate in candidates
    ]
    best = int(np.argmax(overlaps))
    return candidates[best] if overlaps[best] > overlaps[0] + NECK_GAIN else fit
