"""A painted head under lamps that stand still, filmed: photometric refinement's tests."""

from dataclasses import dataclass, replace

import numpy as np

from avatar.render.mesh import interpolate, rasterize_mesh, vertex_normals
from avatar.rig import HeadRig
from pipeline.track.photometric.skin import Skin, skin
from pipeline.track.settings import Priors
from pipeline.track.solve import joint_fit, rotations, stages
from pipeline.track.solve.observations import Observations
from pipeline.track.solve.problem import Problem
from pipeline.track.solve.state import State
from tests.unit.pipeline.track.capture import cameras

STEPS, SIZE, FOCAL = 24, 200, 520.0
LAMP = np.array([0.4, 0.6, 0.69])
ACTIONS = ("mouthSmileLeft", "mouthSmileRight", "browDownLeft", "mouthUpperUpRight", "mouthPucker")


@dataclass
class Painted:
    """A problem with perfect landmarks, its truth, and films of it."""

    problem: Problem
    truth: State
    skin: Skin
    colours: np.ndarray
    films: dict[tuple[int, int], np.ndarray]

    def frame(self, timestep: int, camera: int) -> np.ndarray:
        return self.films[timestep, camera]

    def albedo(self) -> np.ndarray:
        """Colours 0..1 of the skin's points."""
        return self.colours[self.skin.chosen]


def painted(rig: HeadRig, cams: int) -> Painted:
    """Somebody whose face moves under a lamp."""
    model = joint_fit.landmark_model(rig)
    time = np.arange(STEPS) / 30
    rng = np.random.default_rng(3)
    wave = np.sin(2 * np.pi * time[:, None] * rng.uniform(1, 2, 12) + rng.uniform(0, 6, 12))
    expr = np.zeros((STEPS, rig.num_expr))
    for place, name in enumerate(ACTIONS):
        expr[:, rig.expr_names.index(name)] = 0.35 + 0.3 * wave[:, place]
    hinges = np.zeros((STEPS, 9))
    hinges[:, 0] = 0.1 + 0.08 * wave[:, 6]
    truth = State(
        0.5 * rng.normal(size=rig.num_shape), 0.0, rotations.exp(0.08 * wave[:, 7:10]),
        0.004 * wave[:, 9:12], hinges, expr, np.zeros((cams, model.num_landmarks, 2)),
    )  # fmt: skip
    Ks, viewmats = cameras(cams)
    Ks[:, [0, 1], [0, 1]], Ks[:, :2, 2] = FOCAL, SIZE / 2
    viewmats[:, 2, 3] = 0.6
    observed = Observations(
        np.zeros((STEPS, cams, model.num_landmarks, 2)), np.ones((STEPS, cams), bool), Ks,
        viewmats, time, np.zeros(STEPS, int),
    )  # fmt: skip
    problem = Problem(
        model, observed, Priors(), stages.bounds(rig), stages.blinks(rig), stages.ease(rig)
    )
    pixels = problem.project(truth, problem.in_cameras(truth))
    problem = seen_at(problem, pixels)
    face = skin(rig, model.pivot)
    places = rig.v_template.numpy()[face.surface.ids] * 1e3
    phase = np.stack([places @ rng.normal(size=(3, 3)) for _ in range(4)])
    colours = 0.55 + 0.09 * np.sin(0.22 * phase + rng.uniform(0, 6, (4, 1, 3))).sum(0)
    return Painted(problem, truth, face, colours, _films(face, truth, observed, colours))


def lit(normals: np.ndarray) -> np.ndarray:
    """Light on surfaces with these normals: a lamp in the world, and light from everywhere."""
    return 0.6 + 0.4 * normals @ LAMP


def seen_at(problem: Problem, pixels: np.ndarray) -> Problem:
    """The same problem with other landmarks."""
    return Problem(
        problem.model, replace(problem.observations, points=pixels), problem.priors,
        problem.bounds, problem.blinks, problem.ease,
    )  # fmt: skip


def _films(
    face: Skin, truth: State, observed: Observations, colours: np.ndarray
) -> dict[tuple[int, int], np.ndarray]:
    films = {}
    for step, verts in enumerate(face.world(truth)):
        bright = lit(vertex_normals(verts, face.faces))[:, None]
        for camera, (K, viewmat) in enumerate(zip(observed.Ks, observed.viewmats, strict=True)):
            ids, weights, _ = rasterize_mesh(verts, face.faces, viewmat, K, SIZE, SIZE)
            image = interpolate(colours * bright, face.faces, ids, weights)
            films[step, camera] = (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return films
