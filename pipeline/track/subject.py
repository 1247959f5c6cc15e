"""Track one subject, from its ingested frames to its files."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from avatar.dataset import FrameStore
from avatar.errors import UserError
from avatar.rig import HeadRig
from pipeline import landmarks
from pipeline.quality import Quality
from pipeline.track import initial, observe, overlay, quality, stages, timeline
from pipeline.track.model import LandmarkModel
from pipeline.track.problem import Observations, Priors, Problem, State
from pipeline.track.settings import TrackSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """What was solved: a state of those timesteps at which a face was found.

    Attributes:
        problem, state: of the N solved timesteps.
        valid: whether each of the T timesteps is one of them.
    """

    problem: Problem
    state: State
    valid: Bool[np.ndarray, "T"]


def track_subject(
    home: str | Path, rig_path: str | Path, settings: TrackSettings | None = None
) -> Quality:
    """Track one subject and write `track/{params.npz,cameras.json,overlay.mp4,quality.json}`.

    Args:
        home: `results/<subject>`, with `ingest/` and perhaps `matte/`.
        rig_path: a rig's npz with its landmark embedding.
    Returns:
        What `quality.json` says; a bad track is no exception.
    Raises:
        UserError: no face in any frame, several cameras without calibration, a rig without
            landmarks, or damaged files.
    """
    home, settings = Path(home), settings or TrackSettings()
    rig = HeadRig.load(rig_path)
    if rig.landmarks is None:
        raise UserError(f"{rig_path} has no landmark embedding: bake the rig again")
    model = LandmarkModel(rig)
    with FrameStore(home / "ingest" / "frames.h5") as store:
        given, known = observe.cameras(home / "ingest", store, settings.focal)
        found = landmarks.detect_store(store.path, settings.workers)
        log.info("track: a face in %d of %d frames", found.found.sum(), len(store))
        if not found.found.any():
            raise UserError(
                f"{store.path}: no face in any of {len(store)} frames: the head must be in view, "
                "upright and not much smaller than the frame"
            )
        fit = solve(rig, model, observe.observations(store, given, found, model.ids), known,
                    settings.priors)  # fmt: skip
        cameras = observe.solved(given, fit.problem, fit.state)
        clip = np.unique(store.sequence, return_inverse=True)[1]
        whole = timeline.bridge(fit.state, fit.valid, clip, store.time)
        offset = np.zeros((rig.num_verts, 3))
        params = timeline.rig_params(rig, model, whole, offset, fit.valid, store)
        judged = quality.judge(settings.gate, fit.problem, fit.state, fit.valid, store, found)
        params.save(home / "track" / "params.npz")
        cameras.save(home / "track" / "cameras.json")
        video = home / "track" / "overlay.mp4"
        overlay.write_overlay(video, store, found, rig, params, cameras, settings.overlay)
        judged.save(home / "track" / "quality.json")
    return judged


def solve(
    rig: HeadRig, model: LandmarkModel, observed: Observations, known: bool, priors: Priors
) -> Fit:
    """Fit the rig to the landmarks of every timestep in which a face was found.

    Args:
        known: whether the cameras are calibrated. Where not, the focal length is estimated, and
            the world is put where the head is.
    Raises:
        UserError: no detection is a head that faces a camera.
    """
    rotation, centre, valid = initial.head_poses(model, observed)
    if not valid.any():
        raise UserError(
            "landmarks were found, but none form a head that faces its camera: are the cameras' "
            "axes OpenCV's and their matrices world-to-camera, in metres?"
        )
    solved = observed.at(np.flatnonzero(valid))
    rotation, centre = rotation[valid], centre[valid]
    if not known:
        middle = np.median(centre, 0)
        viewmats = solved.viewmats.copy()
        viewmats[:, :3, 3] += viewmats[:, :3, :3] @ middle
        solved, centre = replace(solved, viewmats=viewmats), centre - middle
    problem = Problem(model, solved, priors, stages.bounds(rig), stages.blinks(rig))
    state = stages.run(problem, problem.initial(rotation, centre), known)
    return Fit(problem, state, valid)
