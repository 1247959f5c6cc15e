"""Motion of a track for an avatar: the same person's as it is, another's without its face."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar.animate import motion
from avatar.rig import HeadRig, RigParams
from avatar.rig.head_rig import NECK, ROOT
from avatar.rig.params import POSES
from avatar.rig.rotations import axis_angle_to_matrix, matrix_to_axis_angle, mean_rotation

REST = 0.05  # share of the timesteps in which an action is at rest, or less than that
BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
LEAST_BLINK = 0.3  # from rest to closed lids; less is no blink
STEADY = 3  # timesteps whose median counts as a peak: a single one may be an error
MOST_GAIN = 2.0  # by which a blink is made stronger or weaker


def own_motion(own: RigParams, driver: RigParams) -> RigParams:
    """The same person's motion, torso included, turned and moved so that the torso's mean is its.

    Args:
        own: of the avatar.
        driver: of the same rig and person; its world frame may be another.
    """
    rest, other = motion.resting(own), motion.resting(driver)
    poses = {name: getattr(driver, name) for name in POSES}
    turn = _turn(rest["rotation"]) @ _turn(other["rotation"]).mT
    poses["rotation"] = matrix_to_axis_angle(turn @ _turn(driver.rotation)).float()
    moves = (driver.translation - other["translation"]).double()
    poses["translation"] = rest["translation"] + (moves @ turn.T).float()
    return motion.moved(own, poses, driver.time, driver.sequence)


def transferred(own: RigParams, driver: RigParams, rig: HeadRig) -> RigParams:
    """Another person's motion: what differs from the driver's neutral face is added to the own.

    The neutral face of a track (`neutral_face`) belongs to the person: kept, it would give the
    avatar the driver's face. All actions are as strong as the driver's but for blinks: lids that
    close are to close, whatever strength the tracks call that. The head turns and moves from its
    own mean pose, in the axes of the head; the move is scaled by the size of the heads. The torso
    keeps its own turn and goes along with the head's move.

    Args:
        own: of the avatar.
        driver: of the same rig.
    """
    rest, neutral, leak = motion.resting(own), neutral_face(own, rig), neutral_face(driver, rig)
    poses = {name: getattr(driver, name) - leak[name] for name in neutral}
    poses["expr"] = poses["expr"] * blink_gains(own, driver, rig)
    poses = {name: poses[name] + neutral[name] for name in neutral}
    if not rig.principal_expr:
        poses["expr"] = poses["expr"].clamp(0, 1)
    # A jaw pressed further than the avatar's ever was would push the lips into each other.
    poses["jaw_pose"][:, 0].clamp_(min=float(own.jaw_pose[:, 0].min()))
    turns = _turn(driver.rotation) @ _turn(driver.neck_pose)
    valid = torch.from_numpy(motion.counted(driver))
    mean = mean_rotation(turns[valid])
    poses["neck_pose"] = motion.turned_neck(rest, mean.T @ turns)
    places = neck_places(driver, rig).double()
    moves = (places - places[valid].mean(0)) @ mean  # in the axes of the driver's head
    axes = _turn(rest["rotation"]) @ _turn(rest["neck_pose"])
    scale = head_size(own, rig) / head_size(driver, rig)
    poses["translation"] = rest["translation"] + (scale * moves @ axes.T).float()
    return motion.moved(own, poses, driver.time, driver.sequence)


def neutral_face(params: RigParams, rig: HeadRig) -> dict[str, Float[Tensor, "_"]]:
    """Expression, jaw and gaze of a person at rest, as the track has them.

    Actions and the opening of the jaw depart from rest to one side only: rest is what they come
    down to. Gaze, and directions of variance, go to either side: the mean.
    """
    rest, valid = motion.resting(params), torch.from_numpy(motion.counted(params))
    face = {name: rest[name] for name in ("expr", "jaw_pose", "eyes_pose")}
    if not rig.principal_expr:
        face["expr"] = params.expr[valid].quantile(REST, 0)
    face["jaw_pose"][0] = params.jaw_pose[valid, 0].quantile(REST)
    return face


def blink_gains(own: RigParams, driver: RigParams, rig: HeadRig) -> Float[Tensor, "E"]:
    """What the driver's expressions are multiplied by: 1 but for blinks.

    A blink gets the range that it has on the avatar, where both captures have blinks.
    """
    gains = torch.ones(rig.num_expr)
    for place, name in enumerate(rig.expr_names):
        if name in BLINKS:
            mine, theirs = (_range(params, place) for params in (own, driver))
            if min(mine, theirs) >= LEAST_BLINK:
                gains[place] = min(max(mine / theirs, 1 / MOST_GAIN), MOST_GAIN)
    return gains


def _range(params: RigParams, place: int) -> float:
    """Of an expression, from rest to its highest peak."""
    values = params.expr[torch.from_numpy(motion.counted(params)), place]
    windows = values.unfold(0, min(STEADY, len(values)), 1)
    return float(windows.median(1).values.max() - values.quantile(REST))


def with_identity(
    own: RigParams, driver: RigParams, rig: HeadRig, eye: Float[Tensor, "3"]
) -> RigParams:
    """The driver's motion on the avatar's head, which a camera sees as large as the driver's.

    One camera does not tell a large head from a near one, so tracks of the same person differ in
    size: the distance from the camera is scaled with it.

    Args:
        own: of the avatar.
        driver: of the same rig and person.
        eye: the camera's centre (m) in the world of `driver`.
    """
    driven = replace(driver, shape=own.shape, static_offset=own.static_offset)
    scale = head_size(own, rig) / head_size(driver, rig)
    places = eye + scale * (neck_places(driver, rig) - eye)
    moves = places - neck_places(driven, rig)
    return replace(driven, translation=driven.translation + moves)


def neck_places(params: RigParams, rig: HeadRig) -> Float[Tensor, "T 3"]:
    """Where the joint is about which the head turns: m, world frame."""
    joints = rig.joints(params.shape, params.expr).expand(len(params), 5, 3)
    root = joints[:, ROOT]
    arm = joints[:, NECK] - root + params.neck_shift
    turn = axis_angle_to_matrix(params.rotation)
    return (turn @ arm[..., None]).squeeze(-1) + root + params.translation


def head_size(params: RigParams, rig: HeadRig) -> float:
    """Root mean square distance (m) of the neutral head's vertices from their mean."""
    verts = rig.rest(params.shape, torch.zeros(rig.num_expr), params.static_offset)
    head = verts[~rig.masks["neck"]]
    return float((head - head.mean(0)).square().sum(1).mean().sqrt())


def _turn(rotation: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices in double precision: means of many are taken."""
    return axis_angle_to_matrix(rotation.double())
