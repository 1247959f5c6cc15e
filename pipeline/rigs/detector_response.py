"""The landmark detector's response to a rig's movements and identities, learnt from renders.

A detector smooths: it follows a sneer by a third, a smile by two thirds, moves the lips' corners
with the brows and draws every identity towards an average one. What it does to faces whose
parameters are known can be learnt before any subject is filmed: a linear correction to each
landmark's place, by which the tracker expects landmarks where the detector puts them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.linalg import cho_factor, cho_solve

from avatar.rig import HeadRig, arkit
from pipeline.common.parallel import threaded
from pipeline.detect.landmarks import detect_images
from pipeline.rigs import landmark_embedding
from pipeline.track.solve import rotations
from pipeline.track.solve.model import LandmarkModel, coefficients

RENDERS = 1200
YAW, PITCH = 45, 20  # degrees to either side; further round the detector guesses
SHAPE_SPREAD = 0.7  # standard deviations of the random identities
PRINCIPAL_SPREAD = 0.6  # the same of expressions that have no names
LARGEST = 60  # principal directions, at most, to which an answer is learnt
GAZE_SPREAD = 0.5  # of a full look aside
RIDGE = 3.0  # draws to zero what few renders show
ROUNDS = 20  # times that hidden landmarks are filled in
EDGES = (80, 55)  # degrees between normal and view at which a landmark is hidden, and plain
# A random identity, the other parameters, yaw and pitch in degrees.
_Face = tuple[Float[torch.Tensor, "S"], dict[str, Float[torch.Tensor, "_"]], float, float]


@dataclass(frozen=True)
class Sample:
    """What was drawn and what was found, in N renders with L landmarks.

    Attributes:
        coefficients [N,K]: a constant, shape, expression and the jaw's matrix less identity.
        turns [N,3,3]: from the head's frame to the camera's.
        error [N,L,2]: detection minus the landmark's true place, m at its depth, image axes.
        visible [N,L]: 0..1.
    """

    coefficients: Float[np.ndarray, "N K"]
    turns: Float[np.ndarray, "N 3 3"]
    error: Float[np.ndarray, "N L 2"]
    visible: Float[np.ndarray, "N L"]


def learn(rig: HeadRig, texture: UInt8[np.ndarray, "R R 3"]) -> Float[torch.Tensor, "L 3 K"]:
    """`Landmarks.response` of a rig: a minute of renders; the same on every call.

    Args:
        rig: with embedded landmarks.
        texture: a face painted on its texture map.
    """
    sample = draw(rig, texture, RENDERS)
    used = [
        0,
        *range(1, 1 + min(rig.num_shape, LARGEST)),
        *range(1 + rig.num_shape, 1 + rig.num_shape + min(rig.num_expr, LARGEST)),
        *range(1 + rig.num_shape + rig.num_expr, sample.coefficients.shape[1]),
    ]
    response = np.zeros((sample.error.shape[1], 3, sample.coefficients.shape[1]))
    response[..., used] = regress(
        sample.coefficients[:, used], sample.turns, sample.error, sample.visible
    )
    return torch.from_numpy(response).float()


def draw(rig: HeadRig, texture: UInt8[np.ndarray, "R R 3"], renders: int, seed: int = 0) -> Sample:
    """Random faces from random directions, and where the detector finds their landmarks."""
    landmarks = rig.landmarks
    assert landmarks is not None
    middle, rng, still = (
        landmark_embedding.head_middle(rig),
        np.random.default_rng(seed),
        torch.zeros(3),
    )
    rows = []

    def faces() -> Iterator[_Face]:
        for _ in range(renders):
            shape, parameters = _parameters(rig, rng)
            yaw, pitch = rng.uniform((-YAW, -PITCH), (YAW, PITCH))
            yield shape, parameters, yaw, pitch

    def drawn(face: _Face) -> tuple[tuple[Any, ...], UInt8[np.ndarray, "H H 3"]]:
        shape, parameters, yaw, pitch = face
        with torch.no_grad():
            verts = rig(shape, rotation=still, neck_pose=still, translation=still, **parameters)
        verts = verts.numpy() - middle
        points = landmarks.points(torch.from_numpy(verts), rig.faces).numpy()
        row = (_known(shape, parameters), *landmark_embedding.orbit(yaw, pitch), points)
        return row, landmark_embedding.render(rig, verts, texture, yaw, pitch).image

    def images() -> Iterator[UInt8[np.ndarray, "H H 3"]]:
        for row, image in threaded(drawn, faces()):
            rows.append(row)
            yield image

    found = detect_images(images())
    k, viewmats, Ks, points = (np.stack(part)[found.found] for part in zip(*rows, strict=True))
    detected = found.points[found.found][:, landmarks.ids.numpy()]
    turns = viewmats[:, :3, :3]
    seen = points @ turns.swapaxes(1, 2) + viewmats[:, None, :3, 3]
    ahead = (detected - Ks[:, None, :2, 2]) / Ks[:, None, [0, 1], [0, 1]]
    towards = -seen / np.linalg.norm(seen, axis=-1, keepdims=True)
    normals = LandmarkModel(rig).normals @ turns.swapaxes(1, 2)
    hidden, plain = np.cos(np.radians(EDGES))
    visible = np.clip(((normals * towards).sum(-1) - hidden) / (plain - hidden), 0, 1)
    return Sample(k, turns, ahead * seen[..., 2:] - seen[..., :2], visible)


def _known(
    shape: Float[torch.Tensor, "S"], parameters: dict[str, Float[torch.Tensor, "_"]]
) -> Float[np.ndarray, "K"]:
    """The model's coefficients but those of the eyes, whose turn geometry tells well enough."""
    hinges = torch.cat([parameters["jaw_pose"], parameters["eyes_pose"]]).double().numpy()
    turns = rotations.exp(hinges.reshape(1, 3, 3))
    expr = parameters["expr"].double().numpy()[None]
    return coefficients(shape.double().numpy(), expr, turns)[0, :-18]


def _parameters(
    rig: HeadRig, rng: np.random.Generator
) -> tuple[Float[torch.Tensor, "S"], dict[str, Float[torch.Tensor, "_"]]]:
    """A random identity; a random expression, jaw and gaze."""
    shape = torch.from_numpy(rng.normal(0, SHAPE_SPREAD, rig.num_shape)).float()
    parameters = arkit.from_arkit(arkit.named(_strengths(rng), 1)[0])
    if rig.principal_expr:
        expr = rng.normal(0, PRINCIPAL_SPREAD, rig.num_expr)
        parameters["expr"] = torch.from_numpy(expr).float()
    return shape, parameters


def _strengths(rng: np.random.Generator) -> dict[str, float]:
    """A few actions at random, both sides mostly alike; jaw, lids and gaze more often."""
    sides: dict[str, list[str]] = {}
    for name in arkit.ARKIT_NAMES:
        if name != "tongueOut" and not name.startswith("eyeLook"):
            sides.setdefault(name.removesuffix("Left").removesuffix("Right"), []).append(name)
    strengths: dict[str, float] = {}
    for start in rng.choice(list(sides), rng.integers(2, 7), replace=False):
        names = sides[start]
        if len(names) == 2 and rng.random() < 0.3:
            names = [names[rng.integers(2)]]
        strengths |= dict.fromkeys(names, rng.uniform(0.15, 1))
    if rng.random() < 0.5:
        strengths["jawOpen"] = rng.uniform(0, 0.9)
    if rng.random() < 0.3:
        strengths |= dict.fromkeys(("eyeBlinkLeft", "eyeBlinkRight"), rng.uniform(0, 1))
    side, up = np.clip(rng.normal(0, GAZE_SPREAD, 2), -1, 1)
    gaze = {
        ("OutLeft", "InRight") if side > 0 else ("InLeft", "OutRight"): side,
        ("UpLeft", "UpRight") if up > 0 else ("DownLeft", "DownRight"): up,
    }
    for eyes, strength in gaze.items():
        strengths |= {f"eyeLook{eye}": abs(float(strength)) for eye in eyes}
    return strengths


def regress(
    coefficients: Float[np.ndarray, "N K"],
    turns: Float[np.ndarray, "N 3 3"],
    error: Float[np.ndarray, "N L 2"],
    visible: Float[np.ndarray, "N L"],
) -> Float[np.ndarray, "L 3 K"]:
    """The displacement in the head's frame, linear in the coefficients, that images show best.

    Ridge regression: a render shows two of a displacement's three components, which two depends
    on its direction. Hidden landmarks are filled in by what the regression itself expects of
    them, round by round (expectation-maximisation, Dempster et al. 1977), so that all landmarks
    share one factorised system.

    Args:
        turns, error, visible: see `Sample`.
    """
    count, landmarks = visible.shape
    number = coefficients.shape[1]
    rows = np.einsum("nij,nk->nijk", turns[:, :2], coefficients).reshape(2 * count, 3 * number)
    factor = cho_factor(rows.T @ rows + RIDGE * np.eye(3 * number))
    target = error.swapaxes(1, 2).reshape(2 * count, landmarks)
    shown = np.repeat(visible, 2, axis=0)
    expected = np.zeros_like(target)
    for _ in range(ROUNDS):
        filled = shown * target + (1 - shown) * expected
        solution = cho_solve(factor, rows.T @ filled)
        expected = rows @ solution
    return solution.T.reshape(landmarks, 3, number)
