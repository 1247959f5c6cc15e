"""Do the cameras' matrices mean what we take them for? The head, seen by all, tells.

Each camera alone knows where the head is before it: the rig's size gives the depth. Carried
into the world by the right matrices, the cameras' heads coincide. Where they do not, the usual
mistakes are tried, and one is named only if it makes them coincide.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from avatar.base.errors import UserError
from pipeline.track.evidence.side_views import NEAR_FRONT, frontal, near_front, reliable
from pipeline.track.solve import initial, rotations
from pipeline.track.solve.initial import Poses
from pipeline.track.solve.model import LandmarkModel
from pipeline.track.solve.observations import Observations

MOMENTS = 40  # timesteps looked at, spread over the capture
AGREE, ROUND = 0.25, 0.8  # eye distances by which two cameras may differ, and more at right angles
TURN = 45.0  # degrees by which their heads may be turned
EYE_DISTANCE = 0.09  # m, between the outer corners
EXPLAINS = 0.8  # share of the cameras that a mistake must bring together to be named
SAME_UNIT = 1.6  # heads differ in size, and the rig's is the mean one
LYING = 60.0  # degrees of roll from which an uncalibrated camera is turned
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenGL's camera axes to OpenCV's and back
UNITS = {1e-3: "millimetres", 1e-2: "centimetres", 0.0254: "inches"}


@dataclass(frozen=True)
class Reading:
    """One way to read the given matrices, in words and as world-to-camera matrices."""

    words: str
    viewmats: Float[np.ndarray, "C 4 4"]


def check_rig(model: LandmarkModel, observed: Observations, names: list[str]) -> list[int]:
    """Look for a mistaken calibration of several cameras.

    Returns:
        The cameras that disagree with most others, and nothing explains why.
    Raises:
        UserError: the cameras disagree, and a usual mistake explains it: matrices that are
            camera-to-world, OpenGL axes, another unit, or a video that is turned.
    """
    observed = observed.at(moments(observed))
    everywhere = initial.poses_by_camera(model, observed)
    poses = near_front(everywhere, NEAR_FRONT)
    measured, agreeing = _split(poses, observed)
    if not (measured & ~agreeing).any():
        return []
    if 2 * agreeing.sum() <= measured.sum():
        _name_common_mistake(poses, observed, measured)
    poses = reliable(poses, frontal(everywhere), _in_heads(poses, observed.viewmats))
    measured, agreeing = _split(poses, observed)
    odd = np.flatnonzero(measured & ~agreeing)
    if len(odd):
        _name_turned_video(poses, observed, measured, odd, names)
    return odd.tolist()


def check_single(model: LandmarkModel, observed: Observations, name: str) -> None:
    """Look whether a camera without calibration is turned.

    Raises:
        UserError: the head lies on its side or stands on its head.
    """
    poses = initial.poses_by_camera(model, observed.at(moments(observed)))
    roll = float(_rolls(poses)[0])
    if abs(roll) > LYING:
        raise UserError(
            f"camera {name}: the head lies at {roll:.0f} degrees: turn the video upright "
            f"(by {-90 * round(roll / 90)} degrees, clockwise positive), or fix its rotation tag"
        )


def misses(
    poses: Poses, Ks: Float[np.ndarray, "C 3 3"], viewmats: Float[np.ndarray, "C 4 4"]
) -> Float[np.ndarray, "T C C"]:
    """How far what one camera says (axis 1) is from what another sees (axis 2).

    In units of what a head unlike the mean one explains: it looks the more unlike, the farther
    apart the two cameras stand. NaN where either has no pose.
    """
    eyes = EYE_DISTANCE * Ks[:, 0, 0] / np.maximum(poses.place[..., 2], 1e-3)
    distance = initial.disagreement(poses, Ks, viewmats) / eyes[:, None]
    # From where each camera sees the head, in the head's frame: no matrix is needed for that.
    sight = np.einsum("tcij,tci->tcj", poses.turn, poses.place)
    sight /= np.maximum(np.linalg.norm(sight, axis=-1, keepdims=True), 1e-9)
    cosine = np.clip(sight @ sight.swapaxes(1, 2), 0, 1)
    tolerance = AGREE + ROUND * np.sqrt(1 - cosine**2)
    turn, _ = poses.in_world(viewmats)
    cosine = (np.einsum("tpij,tcij->tpc", turn, turn) - 1) / 2
    turned = np.degrees(np.arccos(np.clip(cosine, -1, 1))) / TURN
    return np.where(poses.found[:, None], np.maximum(distance / tolerance, turned), np.nan)


def moments(observed: Observations) -> Int[np.ndarray, "K"]:
    """Timesteps that two cameras see (or the only one does), spread over the capture."""
    seen = np.flatnonzero(observed.seen.sum(1) >= min(2, observed.seen.shape[1]))
    return seen[np.unique(np.linspace(0, len(seen) - 1, min(MOMENTS, len(seen))).astype(int))]


def _split(
    poses: Poses, observed: Observations
) -> tuple[Bool[np.ndarray, "C"], Bool[np.ndarray, "C"]]:
    """Which cameras can be compared with others, and the most that agree."""
    measured = _measurable(poses)
    if measured.sum() >= 2 and _alike(_unit(poses, observed.viewmats), 1.0):
        return measured, _together(_agreement(poses, observed.Ks, observed.viewmats))
    measured &= measured.sum() >= 2
    return measured, np.zeros_like(measured)


def _measurable(poses: Poses) -> Bool[np.ndarray, "C"]:
    """Cameras that see the head near its front at the same time as another one."""
    return (poses.found & (poses.found.sum(1, keepdims=True) >= 2)).any(0)


def _agreement(
    poses: Poses, Ks: Float[np.ndarray, "C 3 3"], viewmats: Float[np.ndarray, "C 4 4"]
) -> Float[np.ndarray, "C C"]:
    """1 where two cameras mostly agree, 0 where they do not, NaN: unknown, or the same camera."""
    apart = misses(poses, Ks, _in_heads(poses, viewmats))
    both = np.isfinite(apart).any(0) & ~np.eye(apart.shape[1], dtype=bool)
    agree = np.full(both.shape, np.nan)
    agree[both] = np.nanmedian(apart[:, both], axis=0) < 1
    return np.fmin(agree, agree.T)


def _together(agreement: Float[np.ndarray, "C C"]) -> Bool[np.ndarray, "C"]:
    """The most cameras that can be reached from one by steps between cameras that agree."""
    reached = agreement == 1
    for _ in range(len(reached)):
        reached |= reached @ reached
    return reached[int(reached.sum(1).argmax())]


def _name_common_mistake(
    poses: Poses, observed: Observations, measured: Bool[np.ndarray, "C"]
) -> None:
    for reading in _readings(poses, observed.viewmats):
        agreeing = _together(_agreement(poses, observed.Ks, reading.viewmats))
        if agreeing.sum() >= max(2, EXPLAINS * measured.sum()):
            raise UserError(
                f"cameras.json: the cameras agree about where the head is only if their "
                f"matrices are {reading.words}: convert them to world-to-camera, OpenCV axes "
                "(x right, y down, z forward), metres"
            )


def _readings(poses: Poses, given: Float[np.ndarray, "C 4 4"]) -> list[Reading]:
    """The usual mistakes, those that need no other unit first."""
    inverse = np.linalg.inv(given)
    plain, scaled = [], []
    for words, viewmats in (
        ("", given),
        ("camera-to-world", inverse),
        ("in OpenGL axes", FLIP @ given),
        ("camera-to-world in OpenGL axes", FLIP @ inverse),
    ):
        unit = _unit(poses, viewmats)
        if _alike(unit, 1.0):
            plain.append(Reading(words, viewmats))
        elif unit > 0:
            name = next(
                (name for metres, name in UNITS.items() if _alike(unit, metres)),
                f"units of about {unit:.2g} m",
            )
            scaled.append(Reading(f"{words}, in {name}".removeprefix(", "), viewmats))
    return [reading for reading in plain if reading.words] + scaled


def _alike(unit: float, other: float) -> bool:
    return 1 / SAME_UNIT < unit / other < SAME_UNIT


def _in_heads(poses: Poses, viewmats: Float[np.ndarray, "C 4 4"]) -> Float[np.ndarray, "C 4 4"]:
    """Translations in the unit in which the head is as large as the mean one.

    So an uncommonly large head makes no cameras disagree, and another unit neither.
    """
    scaled = viewmats.copy()
    scaled[:, :3, 3] *= _unit(poses, viewmats)
    return scaled


def _unit(poses: Poses, viewmats: Float[np.ndarray, "C 4 4"]) -> float:
    """Metres in a unit of the translations that brings the cameras' heads together best.

    Of cameras a and b: `R_a^T p_a - R_b^T p_b = s (R_a^T t_a - R_b^T t_b)`, p the head's place
    in a camera; least squares for each pair, the median over all pairs and timesteps, so that
    one camera's mistake does not matter where there are several.
    """
    back = viewmats[:, :3, :3].swapaxes(1, 2)
    heads = (back @ poses.place[..., None])[..., 0]
    shifts = (back @ viewmats[:, :3, 3:])[..., 0]
    first, second = np.triu_indices(len(viewmats), 1)
    u = heads[:, first] - heads[:, second]
    v = shifts[first] - shifts[second]
    apart = (v**2).sum(-1)
    both = poses.found[:, first] & poses.found[:, second] & (apart > 0)
    scales = (u * v).sum(-1) / np.where(apart > 0, apart, 1)
    return float(np.median(scales[both])) if both.any() else 1.0


def _name_turned_video(
    poses: Poses,
    observed: Observations,
    measured: Bool[np.ndarray, "C"],
    odd: Int[np.ndarray, "O"],
    names: list[str],
) -> None:
    """One camera whose picture is turned by quarters against its calibration."""
    # Where two cameras disagree, either may be turned: rather the one whose head is not upright.
    for camera in sorted(odd, key=lambda camera: -abs(_rolls(poses)[camera])):
        for degrees in (180, 90, -90):
            viewmats = observed.viewmats.copy()
            turn = rotations.exp(np.radians([0.0, 0.0, degrees]))
            viewmats[camera, :3] = turn @ viewmats[camera, :3]
            agreement = _agreement(poses, observed.Ks, viewmats)
            enough = _together(agreement).sum() >= EXPLAINS * measured.sum()
            if enough and np.nanmean(agreement[camera]) >= EXPLAINS:
                raise UserError(
                    f"camera {names[camera]}: its video is turned by {degrees} degrees "
                    "(clockwise positive) against its calibration: turn the video back, or "
                    "fix its rotation tag"
                )


def _rolls(poses: Poses) -> Float[np.ndarray, "C"]:
    """Each camera's median tilt of the head in the image, degrees, clockwise positive."""
    tilt = np.arctan2(poses.turn[..., 1, 0], poses.turn[..., 0, 0])
    # A mean of directions, since angles have a seam at 180 degrees.
    weight = poses.found.astype(float)
    return np.degrees(np.arctan2((np.sin(tilt) * weight).sum(0), (np.cos(tilt) * weight).sum(0)))
